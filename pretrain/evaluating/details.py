"""Masked-letter losses taken apart: by base and by length, beside Markov chains on the very same targets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pretrain.batching import MicroBatch
from pretrain.evaluating.markov import MarkovChains, targets_of
from pretrain.tokenizers import Tokenizer

LENGTH_BINS = (64, 128, 256, 512, 1024)  # last length of each bin, in nucleotides
_BASES = "ACGU"


class MlmDetails:
    """Collects every target of masked language modelling with its loss.

    Only targets that are letters (k-mers of letters) count here: what stands for N or other codes is left to the
    overall figures. Of k-mers the middle letter names the base.
    """

    def __init__(self, chains: MarkovChains, tokenizer: Tokenizer):
        self._chains, self._tokenizer = chains, tokenizer
        self._parts: list[dict[str, np.ndarray]] = []

    def add(self, batch: MicroBatch, log_probability: np.ndarray) -> None:
        """The targets of a micro-batch with the model's log-probabilities float32 (M, V), in nats."""
        count = batch.counts["mlm"]
        if not count:
            return
        true = batch.targets["mlm"]["target"].numpy()
        targets = targets_of(batch, self._tokenizer)
        middle = self._tokenizer.nucleotides_per_token // 2
        part = {
            "loss": -np.take_along_axis(log_probability, true[:, None], 1)[:, 0].astype(np.float64),
            "accuracy": (log_probability.argmax(axis=1) == true).astype(np.float64),
            "base": targets.codes[targets.first + middle],
            "length": targets.length,
            **self._chains.losses(targets),
        }
        self._parts.append({name: values[targets.usable] for name, values in part.items()})

    def report(self) -> dict[str, Any]:
        """``letters`` (all of them), ``by_base``, ``by_length``: targets, loss, accuracy, and the baselines."""
        if not self._parts or not sum(len(part["loss"]) for part in self._parts):
            return {}
        all_ = {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}
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
        uniform = math.log(len(self._tokenizer.nucleotide_ids))
        return {
            "targets": int(rows.sum()),
            "loss": mean.pop("loss"),
            "accuracy": mean.pop("accuracy"),
            "baselines": {"uniform": uniform, **mean},
        }


def _length_bins(length: np.ndarray) -> dict[str, np.ndarray]:
    """``"65-128"`` -> which targets, bool (M,)."""
    first = [1, *(edge + 1 for edge in LENGTH_BINS)]
    last = [*LENGTH_BINS, 2**62]
    names = [*(f"{a}-{b}" for a, b in zip(first, LENGTH_BINS, strict=False)), f"{first[-1]} and more"]
    return {name: (length >= a) & (length <= b) for name, a, b in zip(names, first, last, strict=True)}
