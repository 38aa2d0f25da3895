"""The state of a run, and how it is written to a checkpoint and read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretrain.batches.collate import MicroBatchBuilder
from pretrain.batches.plan import Plan
from pretrain.config import RunPhase
from pretrain.distributed.context import DistributedContext, broadcast_object, raise_on_any_rank
from pretrain.errors import RunError
from pretrain.runs.checkpoint import OPTIMIZER, WEIGHTS, Checkpoints, open_tensors, read_state
from pretrain.training.background import BackgroundWriter
from pretrain.training.compatibility import run_signature
from pretrain.training.components import RunComponents
from pretrain.training.early_stopping import EarlyStopping
from pretrain.training.engine import Engine
from pretrain.training.resume import newest_whole
from pretrain.training.saving import saving_of
from pretrain.training.sharded_save import save_sharded
from pretrain.training.stability import StabilityMonitor
from pretrain.training.zero_state import gather_optimizer, gather_weights, loss_scale, restore, updates


@dataclass
class TrainState:
    """The state of a run between two steps.

    Attributes:
        step: optimizer steps done.
        position: of the sample stream after them.
        saved_step: newest checkpoint; -1: none yet.
        untrained: tensors of the model that the checkpoint it came from lacks.
    """

    step: int = 0
    position: int = 0
    saved_step: int = -1
    untrained: list[str] = field(default_factory=list)


@dataclass
class CheckpointSaver:
    """Gathers the content of a checkpoint from every rank, writes it, and restores it.

    Rank 0 writes, from copies and beside the training, or each rank a part (``train.checkpoints``).
    """

    components: RunComponents  # of the phase
    phase: RunPhase
    dist_context: DistributedContext
    engine: Engine
    builder: MicroBatchBuilder
    plan: Plan
    stability: StabilityMonitor
    early_stopping: EarlyStopping
    checkpoints: Checkpoints
    writer: BackgroundWriter
    ranks_at_start: int  # of the run's first start
    _writing: int | None = None  # step whose checkpoint is being written; the same on all ranks

    def save(self, state: TrainState, tracking_run: str | None, last: bool) -> list[str]:
        """Begin a checkpoint, once the one before is written. Collective.

        Args:
            state: of the run.
            tracking_run: of MLflow, so that a resumed run continues the same one.
            last: whether the run ends here: the checkpoint is written on return, or that is an error.

        Returns:
            What went wrong with this one or the one before, on every rank, whatever happened to the disk.

        Raises:
            RunError: not written, and the run may not go on without it.
        """
        problems = self.finish(state)
        how = saving_of(self.components.config, self.engine.parameters, self.dist_context.world_size)
        facts = self._facts(state) | {"updates": updates(self.engine), "tracking_run": tracking_run}
        best, state.saved_step, problem = self.early_stopping.best_step, state.step, None
        if how == "sharded":
            problem = save_sharded(self.engine, self.checkpoints, state.step, facts, self.dist_context)
            if problem is None and self.dist_context.is_first:
                self._retain(best)
            return [*problems, *self._tell(state, state.step, problem, last)]
        keep = self.dist_context.is_first
        weights, optimizer = gather_weights(self.engine, keep), gather_optimizer(self.engine, keep)
        if keep:
            step = state.step

            def write() -> None:
                self.checkpoints.save(step, weights, optimizer, facts)
                self._retain(best)

            self.writer.start(write)
        self._writing = state.step
        return problems if how == "background" and not last else [*problems, *self.finish(state, last)]

    def finish(self, state: TrainState, last: bool = False) -> list[str]:
        """Wait for the checkpoint that is being written, if there is one. Collective; as ``save`` otherwise."""
        if self._writing is None:
            return []
        step, self._writing = self._writing, None
        error = self.writer.wait()
        return self._tell(state, step, None if error is None else str(error), last)

    def _retain(self, best: int) -> None:
        train = self.components.config.train
        self.checkpoints.retain(train.keep_last, train.keep_every, best)

    def _tell(self, state: TrainState, step: int, error: str | None, last: bool) -> list[str]:
        problem, train = None, self.components.config.train
        if error is not None and self.dist_context.is_first:
            whole = max(self.checkpoints.steps(), default="none")
            where = self.components.config.run.dir
            problem = f"{where}: checkpoint of step {step} not written ({error}); last one: {whole}"
        if last or train.on_save_failure == "stop":
            raise_on_any_rank(problem, self.dist_context, RunError)
        problem = broadcast_object(problem, self.dist_context)
        if problem is None:
            return []
        state.saved_step = -1
        return [problem]

    def load(self, folder: Path, facts: dict[str, Any], state: TrainState) -> None:
        """Put weights, optimizer and state of a checkpoint back: inside the phase, or where it begins. Collective."""
        weights, history = open_tensors(folder, WEIGHTS), open_tensors(folder, OPTIMIZER)
        begins = self.phase.starts_at(facts["step"])
        anew = begins and self.phase.given.fresh_optimizer
        state.untrained = restore(
            self.engine, weights, {} if anew else history, 0 if anew else facts["updates"], facts["loss_scale"]
        )
        weights.close()
        history.close()
        state.step, state.position, state.saved_step = facts["step"], facts["position"], facts["step"]
        if begins and self.phase.reads_anew:
            state.position = self.builder.stream.next_epoch(state.position)
        self.plan.skipped_spans |= dict(facts["passed_over"])
        self.early_stopping.restore(facts["patience"])

    def roll_back(self, state: TrainState) -> list[str]:
        """Restore the newest whole checkpoint. Returns what went wrong or was found damaged on the way. Collective."""
        warnings = self.finish(state)
        folder = newest_whole(self.checkpoints, self.dist_context, warnings)
        facts = read_state(folder)
        if facts["step"] < self.phase.first_step:
            raise RunError(
                f"{folder}: the newest complete checkpoint is from an earlier phase of train.phases; start the run "
                "again to continue from there"
            )
        self.load(folder, facts, state)
        self.stability.rolled_back(facts["guard"], state.step)
        if self.phase.starts_at(state.step):
            self.stability.begin_anew()
        return warnings

    def _facts(self, state: TrainState) -> dict[str, Any]:
        """``train_state.json``. Names of keys are older than those of the code; old checkpoints stay readable."""
        return {
            "step": state.step,
            "position": state.position,
            "passed_over": sorted(self.plan.skipped_spans.items()),
            "loss_scale": loss_scale(self.engine),
            "guard": self.stability.state(),
            "patience": self.early_stopping.state(),
            "micro_batches_per_step": self.plan.micro_batches,
            "ranks_at_start": self.ranks_at_start,
            "identity": run_signature(self.components),
            **{key: fact for one in self.components.objectives.values() for key, fact in one.facts().items()},
        }
