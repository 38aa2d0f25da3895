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
from pretrain.runs.checkpoint import OPTIMIZER, WEIGHTS, Checkpoints, read_state, read_tensors
from pretrain.training.compatibility import run_signature
from pretrain.training.components import RunComponents
from pretrain.training.early_stopping import EarlyStopping
from pretrain.training.engine import Engine
from pretrain.training.resume import newest_whole
from pretrain.training.stability import StabilityMonitor
from pretrain.training.zero_state import gather_optimizer, gather_weights, loss_scale, restore


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
    """Gathers the content of a checkpoint from every rank, writes it on rank 0, and restores it."""

    components: RunComponents  # of the phase
    phase: RunPhase
    dist_context: DistributedContext
    engine: Engine
    builder: MicroBatchBuilder
    plan: Plan
    stability: StabilityMonitor
    early_stopping: EarlyStopping
    checkpoints: Checkpoints
    ranks_at_start: int  # of the run's first start

    def save(self, state: TrainState, tracking_run: str | None, last: bool) -> str | None:
        """Write a checkpoint and continue together, whatever happened to the disk. Collective.

        Args:
            state: of the run.
            tracking_run: of MLflow, so that a resumed run continues the same one.
            last: whether the run ends here, so that a checkpoint that cannot be written is an error.

        Returns:
            What went wrong, on every rank; None if the checkpoint is whole.

        Raises:
            RunError: not written, and the run may not go on without it.
        """
        train, problem = self.components.config.train, None
        weights = gather_weights(self.engine, self.dist_context.is_first)
        optimizer, updates = gather_optimizer(self.engine, self.dist_context.is_first)
        if self.dist_context.is_first:
            facts = self._facts(state) | {"updates": updates, "tracking_run": tracking_run}
            try:
                self.checkpoints.save(state.step, weights, optimizer, facts)
                self.checkpoints.retain(train.keep_last, train.keep_every, self.early_stopping.best_step)
            except OSError as error:
                whole = max(self.checkpoints.steps(), default="none")
                where = self.components.config.run.dir
                problem = f"{where}: checkpoint of step {state.step} not written ({error}); last one: {whole}"
        if last or train.on_save_failure == "stop":
            raise_on_any_rank(problem, self.dist_context, RunError)
        problem = broadcast_object(problem, self.dist_context)
        if problem is None:
            state.saved_step = state.step
        return problem

    def load(self, folder: Path, facts: dict[str, Any], state: TrainState) -> None:
        """Put weights, optimizer and state of a checkpoint back: inside the phase, or where it begins. Collective."""
        weights, optimizer, updates = read_tensors(folder, WEIGHTS), read_tensors(folder, OPTIMIZER), facts["updates"]
        begins = self.phase.starts_at(facts["step"])
        if begins and self.phase.given.fresh_optimizer:
            optimizer, updates = {}, 0
        state.untrained = restore(self.engine, weights, optimizer, updates, facts["loss_scale"])
        state.step, state.position, state.saved_step = facts["step"], facts["position"], facts["step"]
        if begins and self.phase.reads_anew:
            state.position = self.builder.stream.next_epoch(state.position)
        self.plan.skipped_spans |= dict(facts["passed_over"])
        self.early_stopping.restore(facts["patience"])

    def roll_back(self, state: TrainState) -> list[str]:
        """Restore the newest whole checkpoint. Returns what was found damaged on the way. Collective."""
        warnings: list[str] = []
        folder = newest_whole(self.checkpoints, self.dist_context, warnings)
        facts = read_state(folder)
        if facts["step"] < self.phase.first_step:
            raise RunError(
                f"{folder}: the newest whole checkpoint is of an earlier one of train.phases; start the run again, it "
                "goes on from there"
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
