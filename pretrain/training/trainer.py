"""The training loop, in the order things happen."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretrain.batches.block import preparing
from pretrain.batches.collate import MicroBatchBuilder
from pretrain.batches.loader import load_steps
from pretrain.batches.plan import Bounds, Plan
from pretrain.distributed.context import DistributedContext, sum_over_ranks
from pretrain.distributed.signals import StopFlag
from pretrain.errors import PolymeraseError
from pretrain.runs.checkpoint import Checkpoints
from pretrain.training.components import RunComponents
from pretrain.training.early_stopping import EarlyStopping
from pretrain.training.engine import Engine
from pretrain.training.loss_reduction import StepTotals
from pretrain.training.metrics import Meter
from pretrain.training.optimizer_step import OptimizerStep
from pretrain.training.resume import find_resume_point
from pretrain.training.run_logger import RunLogger, lock_run_dir
from pretrain.training.schedule import learning_rate
from pretrain.training.stability import StabilityMonitor, StepSpan
from pretrain.training.train_state import CheckpointSaver, TrainState
from pretrain.training.validation import Evaluator


@dataclass
class Trainer:
    """One pretraining, from its resume point to its last step or until it is asked to stop."""

    components: RunComponents
    dist_context: DistributedContext
    stop: StopFlag
    run_dir_lock: Any  # keeps other runs out of the folder for as long as this lives
    engine: Engine
    builder: MicroBatchBuilder
    plan: Plan
    update: OptimizerStep
    stability: StabilityMonitor
    early_stopping: EarlyStopping
    evaluator: Evaluator
    meter: Meter
    saver: CheckpointSaver
    logger: RunLogger
    state: TrainState = field(default_factory=TrainState)

    def run(self) -> bool:
        """Train. Returns whether the last step was reached (False: asked to stop, everything saved)."""
        train, state = self.components.config.train, self.state
        self.logger.open(self.builder)
        if state.untrained:
            self.logger.event(state.step, f"not in the checkpoint, untrained: {', '.join(state.untrained)}")
        self.update.asked_to_stop = sum_over_ranks([int(bool(self.stop))], self.dist_context)[0] > 0
        try:
            with self.logger.progress:
                if "roll_back" in (train.on_bad_step, train.on_spike) and state.step == 0:
                    self._save()  # somewhere to go back to
                while bad := self._train_until_bad():
                    self._roll_back(bad)
            if state.step >= train.steps:
                self._evaluate()
            if state.saved_step != state.step:
                self._save(last=True)
        except PolymeraseError:
            self.logger.failed()
            raise
        done = state.step >= train.steps or self.early_stopping.exhausted
        self.logger.close(state.step, None if done else self.stop.signal_name or "another rank")
        return done

    def _train_until_bad(self) -> list[StepSpan]:
        """Train to the end, to a request to stop, or to steps that require the last checkpoint, which are returned."""
        train, ranks, state = self.components.config.train, self.dist_context, self.state
        make = preparing(self.builder.make, ranks.device, train.loader_workers)
        steps = load_steps(self.plan, state.position, make, ranks.rank, ranks.world_size, train.loader_workers)
        with contextlib.closing(steps):
            while state.step < train.steps and not self.update.asked_to_stop and not self.early_stopping.exhausted:
                with self.logger.progress.apart("data wait"):
                    mine = next(steps)
                span = StepSpan(state.step + 1, state.position, mine.end)
                totals = self.update(span, mine.micro_batches)
                state.step, state.position = span.step, span.end
                if bad := self._after_step(totals):
                    return bad
        self._judge()
        return self.stability.steps_to_roll_back()

    def _after_step(self, totals: StepTotals) -> list[StepSpan]:
        """Do what follows a step, in this order: heartbeat, log, judge, evaluate, save.

        Returns:
            Bad steps that require the last checkpoint.
        """
        train = self.components.config.train
        if self.dist_context.heartbeat:
            self.dist_context.heartbeat.step = self.state.step
        self.logger.progress.advance(self.state.step, totals)
        last = self.state.step == train.steps
        logs = last or self._due(train.log_every)
        evaluates, saves = (not last and self._due(every) for every in (train.eval_every, train.save_every))
        if logs or evaluates or saves:
            self._judge()
        if logs:
            self._log(totals)
        if bad := self.stability.steps_to_roll_back():
            return bad
        if evaluates:
            self._evaluate()
        if saves and self.state.saved_step != self.state.step:
            self._save()
        return []

    def _judge(self) -> None:
        self.stability.read()
        for step, text in self.stability.to_tell():
            self.logger.event(step, text)

    def _due(self, every: int) -> bool:
        return every > 0 and self.state.step % every == 0

    def _log(self, totals: StepTotals) -> None:
        means, objectives = self.meter.report(), self.components.objectives
        loss = sum(objective.weight * means.get(f"{name}/loss", 0.0) for name, objective in objectives.items())
        values: dict[str, float] = {
            "loss": loss,
            **means,
            "learning_rate": self.update.learning_rate(self.state.step - 1),
            "gradient_norm": self.engine.gradient_norm(),
            **self.stability.counts,
        }
        values |= self.logger.progress.report(means, loss, self.stability.counts)
        self.logger.numbers(self.state.step, values, batch_digest=totals.digest)

    def _evaluate(self) -> None:
        step, figures = self.state.step, {}
        with self.logger.progress.apart("evaluation"):
            values = self.evaluator.run(self.engine)
            if self.dist_context.is_first:  # baselines are measured by one rank, at its first evaluation
                figures = self.evaluator.figures(values)
        if self.dist_context.is_first:
            self.logger.numbers(step, values | self.evaluator.numbers(figures))
            self.logger.progress.say(self.evaluator.describe(step, figures))
            self.logger.held_out(step, figures)
        if step == self.components.config.train.steps:
            return
        if self.early_stopping.note(step, values):
            self._save()
        if self.early_stopping.exhausted:
            self.logger.event(step, self.early_stopping.describe())

    def _save(self, last: bool = False) -> None:
        with self.logger.progress.apart("saving"):
            problem = self.saver.save(self.state, self.logger.tracking_run, last)
        if problem is not None:
            self.logger.event(self.state.step, f"warning: {problem}; going on (train.on_save_failure)")

    def _roll_back(self, bad: list[StepSpan]) -> None:
        """Go back to the last checkpoint, and from there on leave out the parts of the stream of the bad steps."""
        seen_at = self.state.step
        warnings = self.saver.roll_back(self.state)
        self.plan.skipped_spans |= {span.start: span.end for span in bad}
        self.meter.report()
        steps = ", ".join(str(span.step) for span in bad)
        back = f"bad steps {steps}: went back to step {self.state.step}, their batches will be passed over"
        self.logger.event(seen_at, "; ".join([*warnings, back]))


def build_trainer(
    components: RunComponents, dist_context: DistributedContext, resume: str, allow_change: list[str]
) -> Trainer:
    """Build a trainer at the resume point of the run. Collective.

    Args:
        components: of the run.
        dist_context: this rank.
        resume: ``auto``, ``never``, or a run or checkpoint folder.
        allow_change: names of :data:`pretrain.training.compatibility.OVERRIDABLE` that may differ from the checkpoint.

    Raises:
        PolymeraseError: the folder is in use, or its checkpoints do not fit this run.
    """
    config, run_dir = components.config, Path(str(components.config.run.dir))
    stop = StopFlag()
    stop.install()
    lock = lock_run_dir(run_dir, dist_context)
    start = find_resume_point(components, dist_context, run_dir, resume, allow_change)
    per_rank = -(-start.micro_batches_per_step // dist_context.world_size)
    engine = Engine(config, components.model(), per_rank)
    builder = components.batches("train")
    bounds = Bounds(config.batch.tokens, config.batch.sequences, config.batch.pair_cells)
    plan = Plan(builder.lengths_at, bounds, start.micro_batches_per_step)
    stability = StabilityMonitor(config, dist_context)
    weights = {name: objective.weight for name, objective in components.objectives.items()}
    early_stopping = EarlyStopping(config.train.patience, weights)
    saver = CheckpointSaver(
        components, dist_context, engine, plan, stability, early_stopping, Checkpoints(run_dir),
        start.micro_batches_per_step,
    )  # fmt: skip
    state = TrainState()
    if start.folder is not None:
        saver.load(start.folder, start.state, state)
        stability.restore(start.state["guard"])
    meter = Meter(components.objectives, dist_context)
    update = OptimizerStep(
        components.objectives, config.objectives.reduction, dist_context, engine, builder, meter, stability, stop,
        per_rank, learning_rate(config),
    )  # fmt: skip
    return Trainer(
        components, dist_context, stop, lock, engine, builder, plan, update, stability, early_stopping,
        Evaluator(components, dist_context), meter, saver, RunLogger(components, dist_context, run_dir, start), state,
    )  # fmt: skip
