"""Held-out losses of a run, always over the same samples with the same masks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Protocol

from torch import Tensor

from pretrain.assembly import Parts
from pretrain.baselines import BASELINE, trivial_losses
from pretrain.batching import BatchMaker, MicroBatch, filler_of, to_device
from pretrain.data.loader import load_steps
from pretrain.data.plan import Bounds, Plan
from pretrain.distributed import Place
from pretrain.metrics import Meter
from pretrain.models import PackedBatch
from pretrain.objectives import Sums

_BASELINE_SEQUENCES = 4096  # training samples that the trivial predictors are fitted on


class Evaluates(Protocol):
    """An engine, or a plain model."""

    def evaluate(
        self, batch: PackedBatch, targets: dict[str, dict[str, Tensor]], coefficients: dict[str, float]
    ) -> dict[str, Sums]:
        """The sums of one micro-batch, without gradients or dropout."""


class Evaluator:
    """Evaluates a model on the first validation samples, shared among ranks.

    The samples and masks do not depend on the step, the rank or the number of ranks, so two evaluations differ only by
    the weights.
    """

    def __init__(self, parts: Parts, place: Place, shows: bool = False):
        """shows: a bar on terminals; a training has its own line there."""
        self._parts, self._place, self._shows = parts, place, shows
        self._maker = parts.batches("validation") if parts.sources("validation") else None
        size = sum(source.size for source in self._maker.sources) if self._maker else 0
        self.sequences = min(parts.config.train.eval_sequences, size)

    def describe(self, step: int, values: dict[str, float]) -> str:
        """One line: each held-out loss beside the loss of the trivial predictor it has to beat."""
        if not values:
            return f"step {step}: nothing is held out, so nothing is evaluated (python -m data_prep split)"
        parts = []
        for name, trivial in self.baselines.items():
            accuracy = values.get(f"validation/{name}/accuracy")
            shown = f", accuracy {accuracy:.3f}" if accuracy is not None else ""
            parts.append(f"{name} loss {values[f'validation/{name}/loss']:.4f} ({BASELINE[name]} {trivial:.4f}{shown})")
        return f"step {step} held-out: " + "; ".join(parts)

    @cached_property
    def baselines(self) -> dict[str, float]:
        """Loss of each objective's trivial predictor on the same held-out targets (see ``pretrain.baselines``)."""
        if self._maker is None:
            return {}
        alone = Place(0, 0, 1, self._place.device)
        train = self._parts.batches("train")
        seen = min(_BASELINE_SEQUENCES, sum(source.size for source in train.sources))
        return trivial_losses(
            evaluation_batches(self._parts, train, seen, alone, "training samples" if self._shows else None),
            evaluation_batches(self._parts, self._maker, self.sequences, alone),
            self._parts.context.base_ids,
        )

    def run(self, engine: Evaluates) -> dict[str, float]:
        """``validation/OBJECTIVE/METRIC`` -> mean; nothing where nothing is held out. Collective."""
        if self._maker is None:
            return {}
        meter = Meter(self._parts.objectives, self._parts.context.strategies, self._place)
        zeros = dict.fromkeys(self._parts.objectives, 0.0)
        label = "held-out samples" if self._shows else None
        for batch in evaluation_batches(self._parts, self._maker, self.sequences, self._place, label):
            packed, targets = to_device(batch, self._place.device)
            meter.add(batch, engine.evaluate(packed, targets, zeros))
        return {f"validation/{name}": value for name, value in meter.report().items()}


def evaluation_batches(
    parts: Parts, maker: BatchMaker, sequences: int, place: Place, label: str | None = None
) -> Iterator[MicroBatch]:
    """This rank's micro-batches of the first ``sequences`` samples; every rank gets equally many, fillers included.

    Args:
        label: of a bar with the time left, on terminals only; None: no bar.
    """
    from tqdm import tqdm

    batch = parts.config.batch
    plan = Plan(
        maker.lengths_at, Bounds(batch.tokens, batch.sequences, batch.pair_cells), place.world_size, end=sequences
    )
    filler: MicroBatch | None = None
    with tqdm(total=sequences, desc=label, disable=None if label else True) as bar:
        for step in load_steps(plan, 0, maker.make, place.rank, place.world_size, workers=0):
            for made in step.turns:
                if made is None:
                    filler = filler or filler_of(maker.make(0, 1))
                    yield filler
                else:
                    yield made
            bar.update(step.end - bar.n)
