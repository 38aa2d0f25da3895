"""Held-out losses of a run, always over the same samples with the same masks."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from pretrain.baselines.words import PARTS, clause, main_part
from pretrain.batches.collate import to_device
from pretrain.distributed.context import DistributedContext, all_gather_object
from pretrain.models import PackedBatch
from pretrain.objectives import LossSums
from pretrain.training.baselines import Answers, HeldOutReading, read_held_out
from pretrain.training.components import RunComponents
from pretrain.training.evaluation_batches import evaluation_batches
from pretrain.training.metrics import Meter

_NUMBERS = ("loss", "standard_error", "accuracy", "difference", "difference_standard_error")


class SupportsEvaluate(Protocol):
    """Anything that evaluates a micro-batch: an engine, or a plain model."""

    def evaluate(
        self, batch: PackedBatch, targets: dict[str, dict[str, Tensor]], coefficients: dict[str, float]
    ) -> dict[str, LossSums]:
        """Return the loss sums of one micro-batch, without gradients or dropout."""


class Evaluator:
    """Evaluation of a model on the first validation samples, shared among ranks.

    Samples and masks do not depend on the step, the rank or the number of ranks, so two evaluations differ only by the
    weights.
    """

    def __init__(self, components: RunComponents, dist_context: DistributedContext, shows: bool = False):
        """shows: a bar on terminals while the model reads; a training has its own line there."""
        self._components, self._dist_context, self._shows = components, dist_context, shows
        self._builder = components.batches("validation") if components.sources("validation") else None
        size = sum(source.size for source in self._builder.sources) if self._builder else 0
        self.sequences = min(components.config.train.eval_sequences, size)
        self._answers: dict[str, Answers] = {}

    def run(self, engine: SupportsEvaluate) -> dict[str, float]:
        """Return ``validation/OBJECTIVE/METRIC`` -> mean; empty if nothing is held out. Collective."""
        if self._builder is None:
            return {}
        meter = Meter(self._components.objectives, self._dist_context)
        zeros = dict.fromkeys(self._components.objectives, 0.0)
        label = "held-out samples" if self._shows else None
        found: list[tuple[int, dict[str, LossSums]]] = []
        for batch in evaluation_batches(self._components, self._builder, self.sequences, self._dist_context, label):
            packed, targets = to_device(batch, self._dist_context.device)
            sums = engine.evaluate(packed, targets, zeros)
            meter.add(batch, sums)
            if not batch.filler:
                found.append((batch.start, {name: one for name, one in sums.items() if batch.counts[name]}))
        self._answers = self._gather(found)
        return {f"validation/{name}": value for name, value in meter.report().items()}

    def _gather(self, found: list[tuple[int, dict[str, LossSums]]]) -> dict[str, Answers]:
        """Loss and hit of every target of all ranks, in the order of the samples."""
        mine = [
            (start, name, one.losses.cpu().numpy(), None if one.hits is None else one.hits.cpu().numpy())
            for start, sums in found
            for name, one in sums.items()
            if one.losses is not None
        ]
        everyone = sorted((part for rank in all_gather_object(mine, self._dist_context) for part in rank), key=_start)
        answers = {}
        for name in self._components.objectives:
            parts = [part for part in everyone if part[1] == name]
            if parts:
                hits = None if parts[0][3] is None else np.concatenate([part[3] for part in parts])
                answers[name] = Answers(np.concatenate([part[2] for part in parts]).astype(np.float64), hits)
        return answers

    @cached_property
    def reading(self) -> dict[str, HeldOutReading]:
        """Apply the baselines to the same held-out targets, by objective. Takes seconds; only one rank needs it."""
        if self._builder is None:
            return {}
        return read_held_out(self._components, self._builder, self.sequences)

    def figures(self, values: dict[str, float]) -> dict[str, dict[str, Any]]:
        """Summarize the last run by objective, as plain data.

        Args:
            values: result of :meth:`run`.

        Returns:
            Metrics of each objective, then ``hidden``, ``shown`` and ``all``, each with standard errors beside the
            baselines, and ``by_corpus`` of a mixture.
        """
        result = {}
        for name, reading in self.reading.items():
            prefix = f"validation/{name}/"
            own = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
            metrics = {key: value for key, value in own.items() if key.partition("/")[0] not in PARTS}
            if metrics:
                result[name] = metrics | reading.figures(self._answers.get(name), metrics["loss"])
        return result

    def details(self, name: str) -> dict[str, Any]:
        """Return ``letters``, ``by_base``, ``by_length`` of an objective in the last run, if it predicts tokens."""
        return self.reading[name].details(self._answers[name]) if name in self._answers else {}

    def numbers(self, figures: dict[str, dict[str, Any]]) -> dict[str, float]:
        """Return the figures that :meth:`run` did not give, under the names of metrics."""
        found: dict[str, float] = {}
        for name, objective in figures.items():
            baselines = objective[main_part(objective)].get("baselines") or {}
            found |= {f"validation/{name}/baseline/{key}": loss for key, loss in baselines.items()}
            parts = {part: objective[part] for part in PARTS if part in objective}
            parts |= {f"corpus/{corpus}": one for corpus, one in objective.get("by_corpus", {}).items()}
            for part, one in parts.items():
                prefix = f"validation/{name}/{part}"
                found |= {f"{prefix}/{key}": one[key] for key in _NUMBERS if one.get(key) is not None}
                if one.get("baselines"):
                    found[f"{prefix}/best_baseline"] = one["baselines"][one["best_baseline"]]
        return found

    def describe(self, step: int, figures: dict[str, dict[str, Any]]) -> str:
        """Format one line: each held-out loss beside its best baseline."""
        if not self.sequences:
            return f"step {step}: no held-out data, so nothing is evaluated (python -m data_prep split)"
        clauses = []
        for name, objective in figures.items():
            main = main_part(objective)
            others = [f"{part} {objective[part]['loss']:.4f}" for part in PARTS if "loss" in objective.get(part, {})]
            apart = f" [{', '.join(others)}]" if len(others) > 1 else ""
            clauses.append(clause(name, main, objective[main]) + apart)
            for corpus, one in objective.get("by_corpus", {}).items():
                clauses.append(f"{name} on {corpus} {one['loss']:.4f}")
        return f"step {step} held-out: " + "; ".join(clauses)


def _start(part: tuple[Any, ...]) -> int:
    return part[0]
