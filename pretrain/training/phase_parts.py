"""What a trainer works with in one phase: engine, batches, plan, update, saver. Another phase gets new ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pretrain.batches.collate import MicroBatchBuilder
from pretrain.batches.padded import PaddedTo
from pretrain.batches.plan import Bounds, Plan
from pretrain.config import RunPhase
from pretrain.distributed.context import DistributedContext
from pretrain.distributed.signals import StopFlag
from pretrain.runs.checkpoint import Checkpoints
from pretrain.training.background import BackgroundWriter
from pretrain.training.components import RunComponents
from pretrain.training.early_stopping import EarlyStopping
from pretrain.training.engine import Engine
from pretrain.training.metrics import Meter
from pretrain.training.optimizer_step import OptimizerStep
from pretrain.training.schedule import learning_rate
from pretrain.training.stability import StabilityMonitor
from pretrain.training.static_shapes import padded_to
from pretrain.training.train_state import CheckpointSaver


@dataclass(frozen=True)
class Watch:
    """What goes through all phases and counts along."""

    stop: StopFlag
    stability: StabilityMonitor
    early_stopping: EarlyStopping
    meter: Meter
    writer: BackgroundWriter


@dataclass
class PhaseParts:
    """Of one phase. The model is that of before the first step until the saver loads a checkpoint."""

    phase: RunPhase
    engine: Engine
    builder: MicroBatchBuilder
    maker: PaddedTo  # what the builder makes, in the shape that the run wants
    plan: Plan
    update: OptimizerStep
    saver: CheckpointSaver


def build_parts(
    run: RunComponents,
    phase: RunPhase,
    dist_context: DistributedContext,
    watch: Watch,
    micro_batches_per_step: int,
    ranks_at_start: int,
) -> PhaseParts:
    """The parts of a phase of a run. Collective.

    Args:
        run: the whole run.
        phase: one of its phases.
        dist_context: this rank.
        watch: what goes on from phase to phase.
        micro_batches_per_step: over all ranks.
        ranks_at_start: of the run's first start.
    """
    components = run.of_phase(phase)
    config = components.config
    per_rank = -(-micro_batches_per_step // dist_context.world_size)
    engine = Engine(config, components.model(), per_rank)
    builder = components.batches("train")
    maker = padded_to(components, builder, dist_context.device.type)
    bounds = Bounds(config.batch.tokens, config.batch.sequences, config.batch.pair_cells)
    plan = Plan(builder.lengths_at, bounds, micro_batches_per_step)
    update = OptimizerStep(
        components.objectives, config.objectives.reduction, dist_context, engine, maker, watch.meter, watch.stability,
        watch.stop, watch.writer, per_rank, learning_rate(run.config),
    )  # fmt: skip
    saver = CheckpointSaver(
        components, phase, dist_context, engine, builder, plan, watch.stability, watch.early_stopping,
        Checkpoints(Path(str(config.run.dir))), watch.writer, ranks_at_start,
    )  # fmt: skip
    return PhaseParts(phase, engine, builder, maker, plan, update, saver)
