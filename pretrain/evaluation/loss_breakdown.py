"""Losses of hidden letters taken apart: by base and by length, beside Markov chains on the very same targets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pretrain.batches.collate import MicroBatch
from pretrain.evaluation.markov import MarkovChains, Targets, targets_of
from pretrain.tokenizers import Tokenizer

LENGTH_BINS = (64, 128, 256, 512, 1024)  # last length of each bin, in nucleotides
_BASES = "ACGU"


class LetterDetails:
    """Collects every target of an objective that asks for hidden letters, with its loss.

    Only targets that are letters (k-mers of letters) count here: what stands for N or other codes is left to the
    overall figures. Of k-mers the middle letter names the base, of soft labels the reference.

    Args:
        objective: ``mlm`` or ``soft_label``.
        base_ids: token ids of A, C, G, U/T, the columns of soft labels.
    """

    def __init__(self, objective: str, chains: MarkovChains, tokenizer: Tokenizer, base_ids: tuple[int, ...]):
        self._objective, self._chains, self._tokenizer = objective, chains, tokenizer
        self._base_ids = np.array(base_ids)
        self._components: list[dict[str, np.ndarray]] = []

    def add(self, batch: MicroBatch, log_probability: np.ndarray) -> None:
        """The targets of a micro-batch with the model's log-probabilities float32 (M, V), in nats."""
        if not batch.counts[self._objective]:
            return
        targets = targets_of(batch, self._tokenizer, self._objective)
        middle = self._tokenizer.nucleotides_per_token // 2
        base = targets.codes[targets.first + middle]
        figures = (
            self._soft(batch, targets, log_probability)
            if self._objective == "soft_label"
            else self._hard(batch, targets, log_probability)
        )
        part = {"base": base, "length": targets.length, **figures}
        self._components.append({name: values[targets.usable] for name, values in part.items()})

    def _hard(self, batch: MicroBatch, targets: Targets, log_probability: np.ndarray) -> dict[str, np.ndarray]:
        true = batch.targets[self._objective]["target"].numpy()
        return {
            "loss": -np.take_along_axis(log_probability, true[:, None], 1)[:, 0].astype(np.float64),
            "accuracy": (log_probability.argmax(axis=1) == true).astype(np.float64),
            **self._chains.losses(targets),
        }

    def _soft(self, batch: MicroBatch, targets: Targets, log_probability: np.ndarray) -> dict[str, np.ndarray]:
        arrays = {name: value.numpy() for name, value in batch.targets[self._objective].items()}
        share = np.eye(5)[targets.codes[targets.first]][:, :4]
        share[arrays["soft_row"]] = arrays["soft_freq"]
        log_share = np.log(np.where(share > 0, share, 1.0))
        return {
            "loss": -(share * log_probability[:, self._base_ids]).sum(axis=1),
            "accuracy": (log_probability.argmax(axis=1) == self._base_ids[share.argmax(axis=1)]).astype(np.float64),
            "floor": -(share * log_share).sum(axis=1),
            **self._chains.losses(targets, share),
        }

    def report(self) -> dict[str, Any]:
        """``letters`` (all of them), ``by_base``, ``by_length``: targets, loss, accuracy, and the baselines; of soft
        labels also ``floor``, their own entropy, below which no loss can fall."""
        if not self._components or not sum(len(part["loss"]) for part in self._components):
            return {}
        all_ = {name: np.concatenate([part[name] for part in self._components]) for name in self._components[0]}
        letters = self._figures(all_, np.ones(len(all_["loss"]), bool))
        best = min((name for name in letters["baselines"] if name != "uniform"), key=letters["baselines"].get)
        return {
            "letters": letters | {"best_baseline": best},
            "by_base": {
                base: self._figures(all_, all_["base"] == code)
                for code, base in enumerate(_BASES)
                if (all_["base"] == code).any()
            },
            "by_length": {
                name: self._figures(all_, rows)
                for name, rows in _length_bins(all_["length"]).items()
                if rows.any()
            },
        }  # fmt: skip

    def _figures(self, values: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, Any]:
        mean = {name: float(array[rows].mean()) for name, array in values.items() if name not in ("base", "length")}
        answers = 4 if self._objective == "soft_label" else len(self._tokenizer.nucleotide_ids)
        return {
            "targets": int(rows.sum()),
            **{name: mean.pop(name) for name in ("loss", "accuracy", "floor") if name in mean},
            "baselines": {"uniform": math.log(answers), **mean},
        }


def _length_bins(length: np.ndarray) -> dict[str, np.ndarray]:
    """``"65-128"`` -> which targets, bool (M,)."""
    first = [1, *(edge + 1 for edge in LENGTH_BINS)]
    last = [*LENGTH_BINS, 2**62]
    names = [*(f"{a}-{b}" for a, b in zip(first, LENGTH_BINS, strict=False)), f"{first[-1]} and more"]
    return {name: (length >= a) & (length <= b) for name, a, b in zip(names, first, last, strict=True)}
