"""What each loss is divided by, for every published reduction and however a step is dealt out to ranks."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from pretrain.config.sections import Mfe, Mlm
from pretrain.objectives import OBJECTIVES, ObjectiveContext
from pretrain.training.loss_reduction import REDUCTIONS, StepCounts, StepTotals, coefficients

OBJECTIVE = {
    "mlm": OBJECTIVES["mlm"](Mlm(), ObjectiveContext(8)),
    "mfe": OBJECTIVES["mfe"](Mfe(weight=0.25), ObjectiveContext(8)),
}
NAMES = list(OBJECTIVE)


@dataclass
class Batch:
    """The host's view of a micro-batch, and the sums its losses would have."""

    counts: dict[str, int]
    sequences: int
    sums: dict[str, float]
    filler: bool = False
    tokens: int = 10
    digest: int = 7
    weight: float = 1.0  # of every target

    @property
    def denominators(self) -> dict[str, float]:
        return {name: self.weight * count for name, count in self.counts.items()}


def made_up(seed: int) -> list[Batch]:
    """Seven micro-batches; some have no energies."""
    draw = np.random.default_rng(seed)
    batches = []
    for number in range(7):
        losses = {"mlm": draw.random(draw.integers(1, 9)), "mfe": draw.random(0 if number % 3 == 1 else number + 1)}
        counts, sums = ({n: f(v) for n, v in losses.items()} for f in (len, lambda v: float(v.sum())))
        batches.append(Batch(counts, int(draw.integers(1, 6)), sums))
    return batches


def step_loss(batches: list[Batch], reduction: str, world_size: int) -> dict[str, float]:
    """What DeepSpeed makes of a step: the mean over ranks and turns of coefficient x sum, per objective."""
    filler = Batch(dict.fromkeys(NAMES, 0), 0, dict.fromkeys(NAMES, 99.0), filler=True)
    micro_batches_per_rank = -(-len(batches) // world_size)
    shares = [batches[rank::world_size] for rank in range(world_size)]
    shares = [share + [filler] * (micro_batches_per_rank - len(share)) for share in shares]
    values = np.sum([StepCounts(NAMES, share).values for share in shares], axis=0).tolist()
    totals, scale = StepTotals(NAMES, values), world_size * micro_batches_per_rank
    loss = dict.fromkeys(NAMES, 0.0)
    for share in shares:
        for batch in share:
            for name, factor in coefficients(batch, totals, OBJECTIVE, reduction, scale).items():
                loss[name] += factor * batch.sums[name] / scale
    return loss


DEFINITIONS = {
    "global_mean": lambda sums, counts, sequences: sums.sum() / counts.sum(),
    "sum": lambda sums, counts, sequences: sums.sum(),
    "micro_batch_mean": lambda sums, counts, sequences: np.mean(
        [s / c for s, c in zip(sums, counts, strict=True) if c]
    ),
    "sequence_weighted": lambda sums, counts, sequences: (
        sum(n * s / c for s, c, n in zip(sums, counts, sequences, strict=True) if c) / sequences.sum()
    ),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 8])
def test_a_reduction_equals_its_definition_on_any_number_of_ranks(reduction, world_size):
    batches = made_up(1)
    found = step_loss(batches, reduction, world_size)
    for name in NAMES:
        sums, counts = (np.array([getattr(b, key)[name] for b in batches]) for key in ("sums", "counts"))
        expected = DEFINITIONS[reduction](sums, counts, np.array([b.sequences for b in batches]))
        assert found[name] == pytest.approx(OBJECTIVE[name].weight * expected)


@pytest.mark.parametrize("reduction", sorted(set(REDUCTIONS) - {"sum"}))
def test_targets_that_all_weigh_the_same_give_the_loss_of_targets_that_weigh_nothing_special(reduction):
    batches = made_up(3)
    lighter = [
        replace(batch, weight=0.1, sums={name: 0.1 * value for name, value in batch.sums.items()}) for batch in batches
    ]
    assert step_loss(lighter, reduction, 3) == pytest.approx(step_loss(batches, reduction, 3))


def test_sums_of_weights_do_not_depend_on_how_a_step_is_dealt_out():
    draw = np.random.default_rng(4)
    weights = draw.random(400).astype(np.float32)
    sums = {np.bincount(draw.integers(0, ranks, 400), weights).sum() for ranks in (1, 2, 3, 7, 64)}
    assert len(sums) == 1


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_an_objective_without_targets_in_a_step_has_coefficient_zero(reduction):
    batches = [Batch({"mlm": 2, "mfe": 0}, 1, {"mlm": 3.0, "mfe": 0.0})] * 2
    assert step_loss(batches, reduction, 2)["mfe"] == 0.0


def test_totals_add_over_ranks_and_leave_fillers_out():
    batches = made_up(2)
    filler = Batch({"mlm": 5, "mfe": 5}, 5, {}, filler=True)
    first, second = StepCounts(NAMES, batches[:3]).values, StepCounts(NAMES, [*batches[3:], filler]).values
    totals = StepTotals(NAMES, [a + b for a, b in zip(first, second, strict=True)])
    assert totals.targets == {name: sum(batch.counts[name] for batch in batches) for name in NAMES}
    assert totals.batches_with_targets == {"mlm": 7, "mfe": 5}
    assert totals.sequences == sum(batch.sequences for batch in batches)
    assert (totals.tokens, totals.digest) == (70, f"{49:010x}")
