"""Held-out losses of a run, always over the same samples with the same masks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Protocol

from torch import Tensor

from pretrain.batches.collate import MicroBatch, MicroBatchBuilder, dummy_batch, to_device
from pretrain.batches.loader import load_steps
from pretrain.batches.plan import Bounds, Plan
from pretrain.distributed.context import DistributedContext
from pretrain.models import PackedBatch
from pretrain.objectives import LossSums
from pretrain.training.baselines import BASELINE, trivial_losses
from pretrain.training.components import RunComponents
from pretrain.training.metrics import Meter

_BASELINE_SEQUENCES = 4096  # training samples that the trivial predictors are fitted on


class SupportsEvaluate(Protocol):
    """An engine, or a plain model."""

    def evaluate(
        self, batch: PackedBatch, targets: dict[str, dict[str, Tensor]], coefficients: dict[str, float]
    ) -> dict[str, LossSums]:
        """The sums of one micro-batch, without gradients or dropout."""


class Evaluator:
    """Evaluates a model on the first validation samples, shared among ranks.

    The samples and masks do not depend on the step, the rank or the number of ranks, so two evaluations differ only by
    the weights.
    """

    def __init__(self, components: RunComponents, dist_context: DistributedContext, shows: bool = False):
        """shows: a bar on terminals; a training has its own line there."""
        self._components, self._dist_context, self._shows = components, dist_context, shows
        self._builder = components.batches("validation") if components.sources("validation") else None
        size = sum(source.size for source in self._builder.sources) if self._builder else 0
        self.sequences = min(components.config.train.eval_sequences, size)

    def describe(self, step: int, values: dict[str, float]) -> str:
        """One line: each held-out loss beside the loss of the trivial predictor it has to beat."""
        if not values:
            return f"step {step}: nothing is held out, so nothing is evaluated (python -m data_prep split)"
        components = []
        for name, trivial in self.baselines.items():
            accuracy = values.get(f"validation/{name}/accuracy")
            shown = f", accuracy {accuracy:.3f}" if accuracy is not None else ""
            components.append(
                f"{name} loss {values[f'validation/{name}/loss']:.4f} ({BASELINE[name]} {trivial:.4f}{shown})"
            )
        return f"step {step} held-out: " + "; ".join(components)

    @cached_property
    def baselines(self) -> dict[str, float]:
        """Loss of each objective's trivial predictor on the same held-out targets (see baselines.py)."""
        if self._builder is None:
            return {}
        alone = DistributedContext(0, 0, 1, self._dist_context.device)
        train = self._components.batches("train")
        seen = min(_BASELINE_SEQUENCES, sum(source.size for source in train.sources))
        return trivial_losses(
            evaluation_batches(self._components, train, seen, alone, "training samples" if self._shows else None),
            evaluation_batches(self._components, self._builder, self.sequences, alone),
            self._components.context.base_ids,
        )

    def run(self, engine: SupportsEvaluate) -> dict[str, float]:
        """``validation/OBJECTIVE/METRIC`` -> mean; nothing where nothing is held out. Collective."""
        if self._builder is None:
            return {}
        meter = Meter(self._components.objectives, self._dist_context)
        zeros = dict.fromkeys(self._components.objectives, 0.0)
        label = "held-out samples" if self._shows else None
        for batch in evaluation_batches(self._components, self._builder, self.sequences, self._dist_context, label):
            packed, targets = to_device(batch, self._dist_context.device)
            meter.add(batch, engine.evaluate(packed, targets, zeros))
        return {f"validation/{name}": value for name, value in meter.report().items()}


def evaluation_batches(
    components: RunComponents,
    builder: MicroBatchBuilder,
    sequences: int,
    dist_context: DistributedContext,
    label: str | None = None,
) -> Iterator[MicroBatch]:
    """This rank's micro-batches of the first ``sequences`` samples; every rank gets equally many, fillers included.

    Args:
        label: of a bar with the time left, on terminals only; None: no bar.
    """
    from tqdm import tqdm

    batch = components.config.batch
    plan = Plan(
        builder.lengths_at,
        Bounds(batch.tokens, batch.sequences, batch.pair_cells),
        dist_context.world_size,
        end=sequences,
    )
    filler: MicroBatch | None = None
    with tqdm(total=sequences, desc=label, disable=None if label else True) as bar:
        for step in load_steps(plan, 0, builder.make, dist_context.rank, dist_context.world_size, workers=0):
            for made in step.micro_batches:
                if made is None:
                    filler = filler or dummy_batch(builder.make(0, 1))
                    yield filler
                else:
                    yield made
            bar.update(step.end - bar.n)
