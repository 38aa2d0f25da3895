"""The divisor of each loss of an optimizer step.

Counts are summed over ranks on the host before the first backward of a step, so every micro-batch gets its final
coefficient at once, and the result does not depend on how the step was divided among ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pretrain.batches.collate import MicroBatch
from pretrain.objectives import Objective


class StepCounts:
    """Counts of this rank in one optimizer step, as a flat list that is summed over ranks."""

    values: list[float]  # whole numbers but for weighted targets; exact in float64 whatever the order of ranks

    def __init__(self, names: Sequence[str], batches: Sequence[MicroBatch]):
        real = [batch for batch in batches if not batch.filler]
        self.values = [
            *(float(sum(batch.denominators[name] for batch in real)) for name in names),
            *(sum(batch.counts[name] for batch in real) for name in names),
            *(sum(batch.denominators[name] > 0 for batch in real) for name in names),
            sum(batch.sequences for batch in real),
            sum(batch.tokens for batch in real),
            sum(batch.digest for batch in real) % 2**40,
        ]


class StepTotals:
    """The sums of :class:`StepCounts` over ranks, by name."""

    def __init__(self, names: Sequence[str], values: Sequence[float]):
        self.denominators = dict(zip(names, values[: len(names)], strict=True))
        whole = [int(value) for value in values[len(names) :]]
        self.targets = dict(zip(names, whole[: len(names)], strict=True))
        self.batches_with_targets = dict(zip(names, whole[len(names) : 2 * len(names)], strict=True))
        self.sequences, self.tokens, digest = whole[2 * len(names) :]
        self.digest = f"{digest % 2**40:010x}"


Reduction = Callable[[MicroBatch, str, StepTotals], float]


def _global_mean(batch: MicroBatch, name: str, totals: StepTotals) -> float:
    return 1.0 / totals.denominators[name]


def _micro_batch_mean(batch: MicroBatch, name: str, totals: StepTotals) -> float:
    return 1.0 / (batch.denominators[name] * totals.batches_with_targets[name])


def _sequence_weighted(batch: MicroBatch, name: str, totals: StepTotals) -> float:
    return batch.sequences / (batch.denominators[name] * totals.sequences)


def _sum(batch: MicroBatch, name: str, totals: StepTotals) -> float:
    return 1.0


REDUCTIONS: dict[str, Reduction] = {
    "global_mean": _global_mean,
    "micro_batch_mean": _micro_batch_mean,
    "sequence_weighted": _sequence_weighted,
    "sum": _sum,
}


def coefficients(
    batch: MicroBatch, totals: StepTotals, objectives: dict[str, Objective], reduction: str, scale: float
) -> dict[str, float]:
    """Return, per objective, the factor of its summed loss in this micro-batch.

    Args:
        batch: the micro-batch.
        totals: of the step.
        objectives: by name.
        reduction: ``train.loss_reduction``.
        scale: ranks x turns, because DeepSpeed averages over both.
    """
    return {
        name: objective.weight * scale * REDUCTIONS[reduction](batch, name, totals) if batch.denominators[name] else 0.0
        for name, objective in objectives.items()
    }
