"""Held-out losses of a run, always over the same samples with the same masks."""

from __future__ import annotations

from pretrain.assembly import Parts
from pretrain.batching import BatchMaker, MicroBatch, filler_of, to_device
from pretrain.data.loader import load_steps
from pretrain.data.plan import Bounds, Plan
from pretrain.distributed import Place
from pretrain.engine import Engine
from pretrain.metrics import Meter


class Evaluator:
    """Evaluates a model on the first validation samples, shared among ranks.

    The samples and masks do not depend on the step, the rank or the number of ranks, so two evaluations differ only by
    the weights.
    """

    def __init__(self, parts: Parts, place: Place):
        self._parts, self._place = parts, place
        self._maker: BatchMaker = parts.batches("validation")
        limit = parts.config.train.eval_sequences
        self.sequences = min(limit, sum(source.size for source in self._maker.sources))

    def run(self, engine: Engine) -> dict[str, float]:
        """``validation/OBJECTIVE/METRIC`` -> mean. Collective."""
        meter = Meter(self._parts.objectives, self._parts.context.strategies, self._place)
        zeros = dict.fromkeys(self._parts.objectives, 0.0)
        for batch in evaluation_batches(self._parts, self._maker, self.sequences, self._place):
            packed, targets = to_device(batch, self._place.device)
            meter.add(batch, engine.evaluate(packed, targets, zeros))
        return {f"validation/{name}": value for name, value in meter.report().items()}


def evaluation_batches(parts: Parts, maker: BatchMaker, sequences: int, place: Place):
    """This rank's micro-batches of the first ``sequences`` samples; every rank gets equally many, fillers included."""
    batch = parts.config.batch
    plan = Plan(
        maker.lengths_at, Bounds(batch.tokens, batch.sequences, batch.pair_cells), place.world_size, end=sequences
    )
    filler: MicroBatch | None = None
    for step in load_steps(plan, 0, maker.make, place.rank, place.world_size, workers=0):
        for made in step.turns:
            if made is None:
                filler = filler or filler_of(maker.make(0, 1))
                yield filler
            else:
                yield made
