"""The same held-out micro-batches in every evaluation, whatever the step or the number of ranks."""

from __future__ import annotations

from collections.abc import Generator

from pretrain.batches.collate import MicroBatch, MicroBatchBuilder, dummy_batch
from pretrain.batches.loader import load_steps
from pretrain.batches.plan import Bounds, Plan
from pretrain.distributed.context import DistributedContext
from pretrain.training.components import RunComponents


def evaluation_batches(
    components: RunComponents,
    builder: MicroBatchBuilder,
    sequences: int,
    dist_context: DistributedContext,
    label: str | None = None,
) -> Generator[MicroBatch]:
    """Yield this rank's micro-batches of the first ``sequences`` samples; all ranks get equally many, dummies included.

    Args:
        components: of the run.
        builder: of the samples.
        sequences: number of samples.
        dist_context: this rank.
        label: of a progress bar, on terminals only; None: no bar.
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
    with tqdm(total=sequences, desc=label, disable=None if label else True, leave=False) as bar:
        for step in load_steps(plan, 0, builder.make, dist_context.rank, dist_context.world_size, workers=0):
            for made in step.micro_batches:
                if made is None:
                    filler = filler or dummy_batch(builder.make(0, 1))
                    yield filler
                else:
                    yield made
            bar.update(step.end - bar.n)
