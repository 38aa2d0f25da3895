"""The training loop, in the order things happen."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch

from pretrain.batches.collate import MicroBatch, dummy_batch, to_device
from pretrain.batches.loader import load_steps
from pretrain.batches.plan import Bounds, Plan
from pretrain.distributed.context import DistributedContext, broadcast_object, raise_on_any_rank, sum_over_ranks
from pretrain.distributed.signals import StopFlag
from pretrain.errors import PolymeraseError, RunError
from pretrain.runs.checkpoint import OPTIMIZER, WEIGHTS, Checkpoints, read_state, read_tensors
from pretrain.training.compatibility import run_signature
from pretrain.training.components import RunComponents
from pretrain.training.early_stopping import EarlyStopping
from pretrain.training.engine import Engine
from pretrain.training.loss_reduction import StepCounts, StepTotals, coefficients
from pretrain.training.metrics import Meter
from pretrain.training.resume import find_resume_point, newest_whole
from pretrain.training.run_logger import RunLogger, lock_run_dir
from pretrain.training.schedule import learning_rate
from pretrain.training.stability import StabilityMonitor, StepSpan
from pretrain.training.validation import Evaluator
from pretrain.training.zero_state import gather_optimizer, gather_weights, loss_scale, restore


class Trainer:
    """Runs one pretraining from where it stands to its last step, or until it is asked to stop.

    Args:
        components: what the run is made of.
        dist_context: this rank.
        resume: ``auto``, ``never``, or a run or checkpoint folder.
        allow_change: names of :data:`pretrain.training.compatibility.ALLOWABLE` that may differ from the checkpoint.
    """

    def __init__(
        self, components: RunComponents, dist_context: DistributedContext, resume: str, allow_change: list[str]
    ):
        self.components, self.dist_context, self.config = components, dist_context, components.config
        self.run_dir = Path(str(self.config.run.dir))
        self.stop = StopFlag()
        self.stop.install()
        self._lock = lock_run_dir(self.run_dir, dist_context)
        start = find_resume_point(components, dist_context, self.run_dir, resume, allow_change)
        batch = self.config.batch
        self.micro_batches = start.micro_batches_per_step
        self.micro_batches_per_rank = -(-self.micro_batches // dist_context.world_size)
        self.engine = Engine(self.config, components.model(), self.micro_batches_per_rank)
        self.builder = components.batches("train")
        bounds = Bounds(batch.tokens, batch.sequences, batch.pair_cells)
        self.plan = Plan(self.builder.lengths_at, bounds, self.micro_batches)
        self.stability = StabilityMonitor(self.config, dist_context)
        weights = {name: objective.weight for name, objective in components.objectives.items()}
        self.early_stopping = EarlyStopping(self.config.train.patience, weights)
        self.step, self.position, self._saved = 0, 0, -1
        self._untrained: list[str] = []
        if start.folder is not None:
            self._load(start.folder, start.state)
            self.stability.restore(start.state["guard"])
        self.evaluator = Evaluator(components, dist_context)
        self.checkpoints = Checkpoints(self.run_dir)
        self.meter = Meter(components.objectives, dist_context)
        self.logger = RunLogger(components, dist_context, self.run_dir, start)
        self.rate = learning_rate(self.config)
        self._stopping = False
        self._filler: MicroBatch | None = None

    def run(self) -> bool:
        """Train. Returns whether the last step was reached (False: asked to stop, everything saved)."""
        self.logger.open(self.builder)
        train = self.config.train
        if self._untrained:
            self.logger.event(self.step, f"not in the checkpoint, untrained: {', '.join(self._untrained)}")
        self._stopping = sum_over_ranks([int(bool(self.stop))], self.dist_context)[0] > 0
        try:
            with self.logger.progress:
                if "roll_back" in (train.on_bad_step, train.on_spike) and self.step == 0:
                    self._save()  # somewhere to go back to
                while bad := self._train_until_bad():
                    self._roll_back(bad)
            if self.step >= train.steps:
                self._evaluate()
            if self._saved != self.step:
                self._save(last=True)
        except PolymeraseError:
            self.logger.failed()
            raise
        done = self.step >= train.steps or self.early_stopping.exhausted
        self.logger.close(self.step, None if done else self.stop.signal_name or "another rank")
        return done

    def _train_until_bad(self) -> list[StepSpan]:
        """Train to the end, or to a wish to stop, or to steps that call for the last checkpoint: those are returned."""
        train, world = self.config.train, self.dist_context.world_size
        steps = load_steps(
            self.plan, self.position, self.builder.make, self.dist_context.rank, world, train.loader_workers
        )
        with contextlib.closing(steps):
            while self.step < train.steps and not self._stopping and not self.early_stopping.exhausted:
                with self.logger.progress.waiting():
                    mine = next(steps)
                stretch = StepSpan(self.step + 1, self.position, mine.end)
                totals = self._update(stretch, [self._filled(turn) for turn in mine.micro_batches])
                self.step, self.position = stretch.step, stretch.end
                if self.dist_context.heartbeat:
                    self.dist_context.heartbeat.step = self.step
                self.logger.progress.advance(self.step, totals)
                last = self.step == train.steps
                logs = last or self._due(train.log_every)
                evaluates, saves = (not last and self._due(every) for every in (train.eval_every, train.save_every))
                if logs or evaluates or saves:
                    self.stability.read()
                if logs:
                    self._log(totals)
                if bad := self.stability.steps_to_roll_back():
                    return bad
                if evaluates:
                    self._evaluate()
                if saves and self._saved != self.step:
                    self._save()
        self.stability.read()
        return self.stability.steps_to_roll_back()

    def _due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def _update(self, stretch: StepSpan, batches: list[MicroBatch]) -> StepTotals:
        """One optimiser step: every rank's micro-batches, each loss divided by what the whole step holds."""
        objectives, names = self.components.objectives, list(self.components.objectives)
        # the one exchange of a step between hosts: counts, and whether any rank was asked to stop
        *counts, asked = sum_over_ranks([*StepCounts(names, batches).values, int(bool(self.stop))], self.dist_context)
        totals, self._stopping = StepTotals(names, counts), asked > 0
        scale = self.dist_context.world_size * self.micro_batches_per_rank
        total = torch.zeros((), device=self.dist_context.device)
        dropped = False
        for turn, batch in enumerate(batches, 1):
            packed, targets = to_device(batch, self.dist_context.device)
            torch.manual_seed(batch.dropout_seed)
            factors = coefficients(batch, totals, objectives, self.config.objectives.reduction, scale)
            loss, sums = self.engine.forward(packed, targets, factors)
            self.meter.add(batch, sums)
            total += loss.detach() / scale
            if turn == len(batches):
                self.stability.note(stretch, total)
                if self.stability.needs_every_loss and self.stability.read():
                    loss = loss * torch.nan  # a gradient that is not finite is dropped on all ranks
            self.engine.backward(loss)
            dropped = self.engine.end_micro_batch(self.rate(stretch.step - 1))
        if dropped:
            self.stability.dropped(stretch)
        return totals

    def _filled(self, batch: MicroBatch | None) -> MicroBatch:
        if batch is not None:
            return batch
        self._filler = self._filler or dummy_batch(self.builder.make(0, 1))
        return self._filler

    def _log(self, totals: StepTotals) -> None:
        means = self.meter.report()
        loss = sum(
            objective.weight * means.get(f"{name}/loss", 0.0) for name, objective in self.components.objectives.items()
        )
        values: dict[str, float] = {
            "loss": loss,
            **means,
            "learning_rate": self.rate(self.step - 1),
            "gradient_norm": self.engine.gradient_norm(),
            **self.stability.counts,
        }
        values |= self.logger.progress.report(means, loss, self.stability.counts)
        self.logger.numbers(self.step, values, batch_digest=totals.digest)

    def _evaluate(self) -> None:
        values = self.evaluator.run(self.engine)
        self.logger.numbers(self.step, values)
        if self.dist_context.is_first:
            self.logger.progress.say(self.evaluator.describe(self.step, values))
        if self.step == self.config.train.steps:
            return
        if self.early_stopping.note(self.step, values):
            self._save()
        if self.early_stopping.exhausted:
            self.logger.event(self.step, self.early_stopping.describe())

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        weights, optimizer = read_tensors(folder, WEIGHTS), read_tensors(folder, OPTIMIZER)
        self._untrained = restore(self.engine, weights, optimizer, state["updates"], state["loss_scale"])
        self.step, self.position, self._saved = state["step"], state["position"], state["step"]
        self.plan.skipped_spans |= dict(state["passed_over"])
        self.early_stopping.restore(state["patience"])

    def _roll_back(self, bad: list[StepSpan]) -> None:
        """To the last checkpoint; from there on without the parts of the stream that the bad steps took."""
        warnings: list[str] = []
        folder = newest_whole(self.checkpoints, self.dist_context, warnings)
        seen_at, state = self.step, read_state(folder)
        self._load(folder, state)
        self.plan.skipped_spans |= {stretch.start: stretch.end for stretch in bad}
        self.stability.rolled_back(state["guard"], self.step)
        self.meter.report()
        steps = ", ".join(str(stretch.step) for stretch in bad)
        back = f"bad steps {steps}: went back to step {self.step}, their batches will be passed over"
        self.logger.event(seen_at, "; ".join([*warnings, back]))

    def _save(self, last: bool = False) -> None:
        """Gather on every rank, write on rank 0, and go on together, whatever happened to the disk."""
        weights = gather_weights(self.engine, self.dist_context.is_first)
        optimizer, updates = gather_optimizer(self.engine, self.dist_context.is_first)
        problem = None
        if self.dist_context.is_first:
            state = {
                "step": self.step,
                "position": self.position,
                "passed_over": sorted(self.plan.skipped_spans.items()),
                "updates": updates,
                "loss_scale": loss_scale(self.engine),
                "guard": self.stability.state(),
                "patience": self.early_stopping.state(),
                "micro_batches_per_step": self.micro_batches,
                "identity": run_signature(self.components),
                "tracking_run": self.logger.tracking_run,
                **{key: fact for one in self.components.objectives.values() for key, fact in one.facts().items()},
            }
            try:
                self.checkpoints.save(self.step, weights, optimizer, state)
                self.checkpoints.retain(
                    self.config.train.keep_last, self.config.train.keep_every, self.early_stopping.best_step
                )
            except OSError as error:
                whole = max(self.checkpoints.steps(), default="none")
                problem = f"{self.run_dir}: checkpoint of step {self.step} not written ({error}); last one: {whole}"
        if last or self.config.train.on_save_failure == "stop":
            raise_on_any_rank(problem, self.dist_context, RunError)
        problem = broadcast_object(problem, self.dist_context)
        if problem is None:
            self._saved = self.step
        else:
            self.logger.event(self.step, f"warning: {problem}; going on (train.on_save_failure)")
