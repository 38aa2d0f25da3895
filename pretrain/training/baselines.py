"""Baselines on the held-out targets of a run, and a model's figures beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pretrain.baselines.figures import TargetLosses
from pretrain.baselines.fit import fit_baselines
from pretrain.baselines.letters import LetterTable, token_targets
from pretrain.batches.collate import MicroBatch, MicroBatchBuilder
from pretrain.distributed.context import DistributedContext
from pretrain.objectives import Objective
from pretrain.objectives.base import TOKEN_SCOPES
from pretrain.training.components import RunComponents
from pretrain.training.evaluation_batches import evaluation_batches

_SEQUENCES = 65_536  # training samples that baselines may be fitted on; each stops when it has read enough
_LENGTH_BINS = (64, 128, 256, 512, 1024)  # last length of each bin, in nucleotides
_BASES = "ACGU"


@dataclass(frozen=True)
class Answers:
    """A model's loss float64 (M,) and hits bool (M,) on each held-out target, in the order of the samples."""

    loss: np.ndarray
    hits: np.ndarray | None


@dataclass(frozen=True)
class HeldOutReading:
    """M held-out targets of one objective, and the loss of each under the baselines.

    Attributes:
        objective: whose targets they are.
        group: int64 (M,), group of the objective's targets.
        corpus: names of the corpora, and int64 (M,), the corpus of each target.
        base: int64 (M,), 0-3 = A, C, G, U of single letters (of k-mers the middle one), 4 no letter; None for
            objectives that do not predict tokens.
        length: int64 (M,), nucleotides of its sequence.
        entropy: float64 (M,), of soft labels, which no loss can be below; None for other objectives.
    """

    objective: Objective
    losses: dict[str, np.ndarray]
    sequence: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    corpus: tuple[tuple[str, ...], np.ndarray]
    base: np.ndarray | None
    length: np.ndarray | None
    entropy: np.ndarray | None

    def _mean(self, name: str) -> float:
        return float(np.average(self.losses[name], weights=self.weight))

    def of(self, answers: Answers) -> TargetLosses:
        """Combine the targets with a model's answers."""
        return TargetLosses(answers.loss, answers.hits, self.weight, self.sequence, self.losses)

    def figures(self, answers: Answers | None, loss: float) -> dict[str, Any]:
        """Summarize, see :meth:`pretrain.training.validation.Evaluator.figures`. ``loss``: the mean, if that is all."""
        result: dict[str, Any] = {}
        if self.losses:
            result["trivial_loss"] = self._mean(next(iter(self.losses)))
        if self.objective.is_likelihood:
            result["perplexity"] = math.exp(min(loss, 700.0))
        if answers is None:  # an objective that gives no loss of each target: no standard error, and no verdict
            whole: dict[str, Any] = {
                "loss": loss, "standard_error": None, "targets": len(self.weight),
                "sequences": len(np.unique(self.sequence)),
            }  # fmt: skip
            if means := {name: self._mean(name) for name in self.losses}:
                best = min(means, key=lambda name: means[name])
                whole |= {"baselines": means, "best_baseline": best, "difference": loss - means[best]}
            return result | {"all": whole | {"difference_standard_error": None}}
        targets = self.of(answers)
        labels = dict.fromkeys(group[0] for group in self.objective.groups if group)
        for part in labels:
            if (rows := self._rows(part)).any():
                result[part] = self._part(targets, rows)
        result["all"] = self._part(targets, np.ones(len(self.weight), bool))
        names, number = self.corpus
        if len(names) > 1:
            counts = self._rows("hidden") if "hidden" in result else np.ones(len(self.weight), bool)
            result["by_corpus"] = {
                name: self._part(targets, counts & (number == n))
                for n, name in enumerate(names)
                if (counts & (number == n)).any()
            }
        return result

    def _rows(self, part: str) -> np.ndarray:
        """Which targets, bool (M,), are of groups whose first label is this one."""
        return np.isin(self.group, [n for n, group in enumerate(self.objective.groups) if group and group[0] == part])

    def _part(self, targets: TargetLosses, rows: np.ndarray) -> dict[str, Any]:
        found = targets.figures(rows)
        if self.objective.is_likelihood and "loss" in found:
            found["perplexity"] = math.exp(min(found["loss"], 700.0))
        if self.entropy is not None and rows.any():
            found["floor"] = float(np.average(self.entropy[rows], weights=self.weight[rows]))
        return found

    def details(self, answers: Answers) -> dict[str, Any]:
        """Return ``letters`` (targets that are nucleotides or k-mers), ``by_base`` and ``by_length``.

        Empty for objectives that do not predict tokens.
        """
        if self.base is None or self.length is None or not (self.base < 4).any():
            return {}
        targets, known = self.of(answers), self.base < 4
        return {
            "letters": self._part(targets, known),
            "by_base": {
                base: self._part(targets, self.base == code)
                for code, base in enumerate(_BASES)
                if (self.base == code).any()
            },
            "by_length": {
                name: self._part(targets, known & rows)
                for name, rows in _length_bins(self.length).items()
                if (known & rows).any()
            },
        }


def read_held_out(components: RunComponents, builder: MicroBatchBuilder, sequences: int) -> dict[str, HeldOutReading]:
    """Fit the baselines of every objective on training samples and apply them to the held-out ones."""
    alone = DistributedContext(0, 0, 1, torch.device("cpu"))
    train = components.batches("train")
    size = min(_SEQUENCES, sum(source.size for source in train.sources))
    numbers = [number for number, _ in components.sources("validation")]
    folders = [Path(components.corpora[number].folder) for number in numbers]
    short = {folder.name for folder in folders}
    names = tuple(folder.name if len(short) == len(folders) else str(folder) for folder in folders)
    result = {}
    for name, objective in components.objectives.items():
        fitting = evaluation_batches(components, train, size, alone, f"baselines of {name}, training samples")
        baselines = fit_baselines(name, components.objectives, fitting, components, sequences)
        fitting.close()  # readers stop when they have seen enough
        table = LetterTable(components.tokenizer) if objective.scope in TOKEN_SCOPES else None
        parts: list[dict[str, np.ndarray]] = []
        held_out = evaluation_batches(components, builder, sequences, alone, f"baselines of {name}, held-out samples")
        for batch in held_out:
            if batch.counts[name]:
                own = {f"baseline {key}": loss for key, loss in baselines.losses(batch).items()}
                parts.append(_described(batch, name, components, table, builder) | own)
        if parts:
            whole = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
            losses = {key.removeprefix("baseline "): whole[key] for key in whole if key.startswith("baseline ")}
            result[name] = HeldOutReading(
                objective, losses, whole["sequence"], whole["weight"], whole["group"], (names, whole["corpus"]),
                whole.get("base"), whole.get("length"), whole.get("entropy"),
            )  # fmt: skip
    return result


def _described(
    batch: MicroBatch, name: str, components: RunComponents, table: LetterTable | None, builder: MicroBatchBuilder
) -> dict[str, np.ndarray]:
    arrays = {key: value.numpy() for key, value in batch.targets[name].items()}
    index, offsets = arrays["index"], batch.packed.cu_seqlens.numpy()
    sequence = batch.start + np.searchsorted(offsets, index, side="right") - 1
    found = {
        "sequence": sequence,
        "weight": arrays.get("weight", np.ones(len(index), np.float32)).astype(np.float64),
        "group": arrays.get("group", np.zeros(len(index), np.int64)),
        "corpus": builder.stream.at(sequence).corpus,
    }
    if table is None:
        return found
    targets = token_targets(batch, name, components.objectives, table)
    middle = table.codes[targets.token, table.k // 2]
    found |= {"base": np.where(targets.usable, middle, 4), "length": targets.length}
    if targets.share is not None:
        log = np.log(np.where(targets.share > 0, targets.share, 1.0))
        found["entropy"] = -(targets.share * log).sum(axis=1)
    return found


def _length_bins(length: np.ndarray) -> dict[str, np.ndarray]:
    """``"65-128"`` -> which targets, bool (M,)."""
    first = [1, *(edge + 1 for edge in _LENGTH_BINS)]
    last = [*_LENGTH_BINS, 2**62]
    names = [*(f"{a}-{b}" for a, b in zip(first, _LENGTH_BINS, strict=False)), f"{first[-1]} and more"]
    return {name: (length >= a) & (length <= b) for name, a, b in zip(names, first, last, strict=True)}
