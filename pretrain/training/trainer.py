"""The training loop, in the order things happen."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pretrain.batches.block import preparing
from pretrain.batches.loader import load_steps
from pretrain.config import RunPhase, phases_of
from pretrain.config.phases import phase_at
from pretrain.distributed.context import DistributedContext, sum_over_ranks
from pretrain.distributed.signals import StopFlag
from pretrain.errors import PolymeraseError
from pretrain.runs.checkpoint import read_state
from pretrain.training.background import BackgroundWriter
from pretrain.training.components import RunComponents
from pretrain.training.early_stopping import EarlyStopping
from pretrain.training.engine import Engine
from pretrain.training.host_memory import Heap, resident_bytes
from pretrain.training.loss_reduction import StepTotals
from pretrain.training.metrics import Meter
from pretrain.training.phase_parts import PhaseParts, Watch, build_parts
from pretrain.training.progress import Shown
from pretrain.training.resume import find_resume_point, micro_batches_of
from pretrain.training.run_logger import RunLogger, lock_run_dir
from pretrain.training.stability import StabilityMonitor, StepSpan
from pretrain.training.train_state import TrainState
from pretrain.training.validation import Evaluator

Bench = Callable[[Engine], dict[str, float]]  # what one rank finds with the weights as they are (train.bench_every)


@dataclass
class Trainer:
    """One pretraining, from its resume point to its last step or until it is asked to stop."""

    components: RunComponents  # of the whole run
    dist_context: DistributedContext
    run_dir_lock: Any  # keeps other runs out of the folder for as long as this lives
    watch: Watch
    parts: PhaseParts  # of the phase that is being trained
    evaluator: Evaluator
    logger: RunLogger
    state: TrainState = field(default_factory=TrainState)
    bench: Bench | None = None
    heap: Heap = field(default_factory=Heap)

    def run(self) -> bool:
        """Train. Returns whether the last step was reached (False: asked to stop, everything saved)."""
        train, state = self.components.config.train, self.state
        self.logger.open(self.parts.builder)
        if state.untrained:
            self.logger.event(state.step, f"not in the checkpoint, untrained: {', '.join(state.untrained)}")
        stopping = sum_over_ranks([int(bool(self.watch.stop))], self.dist_context)[0] > 0
        self.parts.update.asked_to_stop = stopping
        try:
            with self.logger.progress:
                if "roll_back" in (train.on_bad_step, train.on_spike) and state.step == 0:
                    self._save()  # somewhere to go back to
                self._train_phase()
                while (phase := self._next_phase()) is not None:
                    self._enter(phase)
                    self._train_phase()
        except PolymeraseError:
            self.logger.failed()
            raise
        finally:
            self.watch.writer.settle()
        done = state.step >= train.steps or self.watch.early_stopping.exhausted
        self.logger.close(state.step, None if done else self.watch.stop.signal_name or "another rank")
        return done

    def _train_phase(self) -> None:
        """To the end of the phase, or until asked to stop; then it is saved."""
        if self.components.config.train.phases:
            self.logger.phase(self.parts.phase, self.state.step)
        while bad := self._train_until_bad():
            self._roll_back(bad)
        if self.state.step >= self.parts.phase.end_step:
            self._evaluate()
        self._finish_save()
        if self.state.saved_step != self.state.step:
            self._save(last=True)

    def _next_phase(self) -> RunPhase | None:
        """The phase that begins now; None where the run ends, or ends for now."""
        stopping = self.parts.update.asked_to_stop or self.watch.early_stopping.exhausted
        phase = phase_at(phases_of(self.components.config), self.state.step)
        return phase if phase.starts_at(self.state.step) and not stopping else None

    def _enter(self, phase: RunPhase) -> None:
        """From one phase to the next through the checkpoint between them, as a resumed run does. Collective."""
        folder, ranks = self.parts.saver.checkpoints.path(self.state.step), self.parts.saver.ranks_at_start
        del self.parts  # there is memory for one engine
        gc.collect()
        torch.cuda.empty_cache()
        count = micro_batches_of(phase, ranks)
        self.parts = build_parts(self.components, phase, self.dist_context, self.watch, count, ranks)
        self.parts.saver.load(folder, read_state(folder), self.state)
        self.watch.stability.begin_anew()

    def _train_until_bad(self) -> list[StepSpan]:
        """Train to the end, to a request to stop, or to steps that require the last checkpoint, which are returned."""
        parts, ranks, state = self.parts, self.dist_context, self.state
        workers, end = self.components.config.train.loader_workers, parts.phase.end_step
        make = preparing(parts.maker, ranks.device, workers)
        steps = load_steps(parts.plan, state.position, make, ranks.rank, ranks.world_size, workers)
        with contextlib.closing(steps):
            while state.step < end and not parts.update.asked_to_stop and not self.watch.early_stopping.exhausted:
                with self.logger.progress.apart("data wait"):
                    mine = next(steps)
                span = StepSpan(state.step + 1, state.position, mine.end)
                totals = parts.update(span, mine.micro_batches)
                state.step, state.position = span.step, span.end
                if bad := self._after_step(totals):
                    return bad
        self._judge()
        return self.watch.stability.steps_to_roll_back()

    def _after_step(self, totals: StepTotals) -> list[StepSpan]:
        """Do what follows a step, in this order: heartbeat, log, judge, evaluate, save.

        Returns:
            Bad steps that require the last checkpoint.
        """
        train = self.components.config.train
        if self.dist_context.heartbeat:
            self.dist_context.heartbeat.step = self.state.step
        self.logger.progress.advance(self.state.step, totals)
        if self.dist_context.device.type == "cpu":
            self.heap.bound()
        if self.parts.update.save_failed:
            self._finish_save()
        last = self.state.step == self.parts.phase.end_step
        logs = last or self._due(train.log_every)
        evaluates, saves = (not last and self._due(every) for every in (train.eval_every, train.save_every))
        if logs or evaluates or saves:
            self._judge()
        if logs:
            self._log(totals)
        if bad := self.watch.stability.steps_to_roll_back():
            return bad
        if evaluates:
            self._evaluate()
        if self._due(train.bench_every):
            self._ask_bench()
        if saves and self.state.saved_step != self.state.step:
            self._save()
        return []

    def _judge(self) -> None:
        self.watch.stability.read()
        for step, text in self.watch.stability.to_tell():
            self.logger.event(step, text)

    def _due(self, every: int) -> bool:
        return every > 0 and self.state.step % every == 0

    def _log(self, totals: StepTotals) -> None:
        means, objectives = self.watch.meter.report(), self.components.objectives
        loss = sum(objective.weight * means.get(f"{name}/loss", 0.0) for name, objective in objectives.items())
        values: dict[str, float] = {
            "loss": loss,
            **means,
            "learning_rate": self.parts.update.learning_rate(self.state.step - 1),
            "gradient_norm": self.parts.engine.gradient_norm(),
            "epoch": self.parts.builder.stream.epochs(self.state.position),
            **self.watch.stability.counts,
        }
        on_gpu = self.dist_context.device.type == "cuda"
        values["host_memory_bytes"] = resident_bytes()
        values["memory_bytes"] = torch.cuda.max_memory_allocated() if on_gpu else values["host_memory_bytes"]
        values |= self.logger.progress.report(values, self.watch.stability.counts)
        self.logger.numbers(self.state.step, values, batch_digest=totals.digest)

    def _evaluate(self) -> None:
        step, figures = self.state.step, {}
        with self.logger.progress.apart("evaluation"):
            values = self.evaluator.run(self.parts.engine)
            if self.dist_context.is_first:  # baselines are measured by one rank, at its first evaluation
                figures = self.evaluator.figures(values)
        if self.dist_context.is_first:
            self.logger.numbers(step, values | self.evaluator.numbers(figures))
            self.logger.progress.say(self.evaluator.describe(step, figures))
            self.logger.held_out(step, figures)
        if step == self.components.config.train.steps:
            return
        if self.watch.early_stopping.note(step, values):
            self._save()
        if self.watch.early_stopping.exhausted:
            self.logger.event(step, self.watch.early_stopping.describe())

    def _ask_bench(self) -> None:
        """Labeled tasks by frozen features. One rank asks; the others wait, so that no collective times out later."""
        if self.bench is not None and self.dist_context.is_first:
            values = self.bench(self.parts.engine)
            self.logger.numbers(self.state.step, values)
            shown = ", ".join(
                f"{name.removeprefix('bench/')} {values[name]:.4f}" for name in values if "/than_" not in name
            )
            self.logger.progress.say(f"step {self.state.step} bench: {shown}")
        sum_over_ranks([0], self.dist_context)

    def _save(self, last: bool = False) -> None:
        with self.logger.progress.apart("saving"):
            problems = self.parts.saver.save(self.state, self.logger.tracking_run, last)
        self._tell_of_saves(problems)

    def _finish_save(self) -> None:
        """Wait until the checkpoint that is being written is whole."""
        with self.logger.progress.apart("saving"):
            problems = self.parts.saver.finish(self.state)
        self._tell_of_saves(problems)

    def _tell_of_saves(self, problems: list[str]) -> None:
        for problem in problems:
            self.logger.event(self.state.step, f"warning: {problem}; continuing (train.on_save_failure)")

    def _roll_back(self, bad: list[StepSpan]) -> None:
        """Go back to the last checkpoint, and from there on leave out the parts of the stream of the bad steps."""
        seen_at = self.state.step
        warnings = self.parts.saver.roll_back(self.state)
        self.parts.plan.skipped_spans |= {span.start: span.end for span in bad}
        self.watch.meter.report()
        steps = ", ".join(str(span.step) for span in bad)
        back = f"bad steps {steps}: went back to step {self.state.step}, their batches will be skipped"
        self.logger.event(seen_at, "; ".join([*warnings, back]))


def build_trainer(
    components: RunComponents,
    dist_context: DistributedContext,
    resume: str,
    allow_change: list[str],
    bench: Bench | None = None,
    shown: Shown | None = None,
) -> Trainer:
    """Build a trainer at the resume point of the run. Collective.

    Args:
        components: of the run.
        dist_context: this rank.
        resume: ``auto``, ``never``, or a run or checkpoint folder.
        bench: what ``train.bench_every`` asks.
        shown: how the run is told.
        allow_change: names of :data:`pretrain.training.compatibility.OVERRIDABLE` that may differ from the checkpoint.

    Raises:
        PolymeraseError: the folder is in use, or its checkpoints do not fit this run.
    """
    config, run_dir = components.config, Path(str(components.config.run.dir))
    stop = StopFlag()
    stop.install()
    lock = lock_run_dir(run_dir, dist_context)
    start = find_resume_point(components, dist_context, run_dir, resume, allow_change)
    weights = {name: objective.weight for name, objective in components.objectives.items()}
    watch = Watch(
        stop, StabilityMonitor(config, dist_context), EarlyStopping(config.train.patience, weights),
        Meter(components.objectives, dist_context), BackgroundWriter(),
    )  # fmt: skip
    parts = build_parts(
        components, start.phase, dist_context, watch, start.micro_batches_per_step, start.ranks_at_start
    )
    state = TrainState()
    if start.folder is not None:
        parts.saver.load(start.folder, start.state, state)
        watch.stability.restore(start.state["guard"])
        if start.phase.starts_at(state.step):
            watch.stability.begin_anew()
    logger = RunLogger(components, dist_context, run_dir, start, shown)
    return Trainer(
        components, dist_context, lock, watch, parts, Evaluator(components, dist_context), logger, state, bench
    )
