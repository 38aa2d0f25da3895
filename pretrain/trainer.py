"""The training loop, in the order things happen."""

from __future__ import annotations

import contextlib
import logging
import math
from pathlib import Path
from typing import Any

import torch

from pretrain.assembly import Parts
from pretrain.batching import MicroBatch, filler_of, to_device
from pretrain.checkpoint import Checkpoints
from pretrain.config import notes
from pretrain.config import save as save_config
from pretrain.data.loader import load_steps
from pretrain.data.plan import Bounds, Plan
from pretrain.distributed import Place, agree, barrier, sum_over_ranks
from pretrain.engine import Engine
from pretrain.errors import PolymeraseError
from pretrain.evaluation import Evaluator
from pretrain.identity import identity
from pretrain.metrics import Meter, MetricsFile
from pretrain.normalisation import StepCounts, StepTotals, coefficients
from pretrain.progress import Progress
from pretrain.resume import Start, find_start
from pretrain.schedule import learning_rate
from pretrain.signals import StopFlag
from pretrain.state import gather_optimizer, gather_weights, restore
from pretrain.tracking import Tracker

_log = logging.getLogger("polymerase")


class Trainer:
    """Runs one pretraining from where it stands to its last step, or until it is asked to stop.

    Args:
        parts: what the run is made of.
        place: this rank.
        resume: ``auto``, ``never``, or a run or checkpoint folder.
        allow_change: names of :data:`pretrain.identity.ALLOWABLE` that may differ from the checkpoint.
    """

    def __init__(self, parts: Parts, place: Place, resume: str, allow_change: list[str]):
        self.parts, self.place, self.config = parts, place, parts.config
        self.run_dir = Path(str(self.config.run.dir))
        self.stop = StopFlag()
        self.stop.install()
        self._prepare_folder()
        self.start: Start = find_start(parts, place, self.run_dir, resume, allow_change)
        batch = self.config.batch
        self.micro_batches = self.start.micro_batches_per_step
        self.turns = -(-self.micro_batches // place.world_size)
        self.engine = Engine(self.config, parts.model(), self.turns)
        if self.start.weights is not None:
            restore(self.engine, self.start.weights, self.start.optimizer, self.start.updates)
        self.maker = parts.batches("train")
        bounds = Bounds(batch.tokens, batch.sequences, batch.pair_cells)
        self.plan = Plan(self.maker.lengths_at, bounds, self.micro_batches)
        self.evaluator = Evaluator(parts, place)
        self.checkpoints = Checkpoints(self.run_dir)
        self.metrics = MetricsFile(self.run_dir)
        self.meter = Meter(parts.objectives, parts.context.strategies, place)
        self.progress = Progress(self.config.train.steps, self.start.step, place.is_first)
        self._filler: MicroBatch | None = None

    def run(self) -> bool:
        """Train. Returns whether the last step was reached (False: asked to stop, everything saved)."""
        self._open_records()
        rate, train = learning_rate(self.config), self.config.train
        step, position = self.start.step, self.start.position
        steps = load_steps(
            self.plan, position, self.maker.make, self.place.rank, self.place.world_size, train.loader_workers
        )
        with contextlib.closing(steps), self.progress:
            while step < train.steps and not self._asked_to_stop():
                with self.progress.waiting():
                    mine = next(steps)
                totals = self._step([self._filled(turn) for turn in mine.turns], rate(step))
                step, position = step + 1, mine.end
                self.progress.advance(totals)
                if step % train.log_every == 0 or step == train.steps:
                    self._log(step, rate(step - 1), totals)
                if train.eval_every and step % train.eval_every == 0 and step < train.steps:
                    self._evaluate(step)
                if train.save_every and step % train.save_every == 0 and step < train.steps:
                    self._save(step, position)
        done = step >= train.steps
        if done:
            self._evaluate(step)
        if step > self.start.step or not self.checkpoints.steps():
            self._save(step, position)
        self._close_records("FINISHED" if done else "KILLED", step)
        return done

    def _step(self, batches: list[MicroBatch], rate: float) -> StepTotals:
        """One optimiser step: every rank's micro-batches, each loss divided by what the whole step holds."""
        objectives, names = self.parts.objectives, list(self.parts.objectives)
        totals = StepTotals(names, sum_over_ranks(StepCounts(names, batches).values, self.place))
        scale = self.place.world_size * self.turns
        reduction = self.config.objectives.reduction
        for batch in batches:
            packed, targets = to_device(batch, self.place.device)
            torch.manual_seed(batch.dropout_seed)
            factors = coefficients(batch, totals, objectives, reduction, scale)
            _, sums = self.engine.forward_backward(packed, targets, factors)
            self.meter.add(batch, sums)
            self.engine.end_micro_batch(rate)
        return totals

    def _filled(self, batch: MicroBatch | None) -> MicroBatch:
        if batch is not None:
            return batch
        self._filler = self._filler or filler_of(self.maker.make(0, 1))
        return self._filler

    def _asked_to_stop(self) -> bool:
        """Whether any rank was signalled: all ranks leave the loop at the same step, or none."""
        return bool(sum_over_ranks([int(bool(self.stop))], self.place)[0])

    def _log(self, step: int, rate: float, totals: StepTotals) -> None:
        means = self.meter.report()
        loss = sum(
            objective.weight * means.get(f"{name}/loss", 0.0) for name, objective in self.parts.objectives.items()
        )
        record: dict[str, Any] = {
            "loss": loss,
            **means,
            "learning_rate": rate,
            "skipped_updates": self.engine.skipped_updates(),
        }
        norm = self.engine.gradient_norm()
        if norm is not None:
            record["gradient_norm"] = norm
        record |= self.progress.report(means, loss)
        if self.place.is_first:
            self.metrics.append({"step": step, **record, "batch_digest": totals.digest})
            self.tracker.metrics(record, step)
        if not math.isfinite(loss):
            raise PolymeraseError(
                f"{self.run_dir}: the loss at step {step} is {loss}; lower optimizer.lr, or use engine.precision=fp32; "
                f"the last checkpoint is step {max(self.checkpoints.steps(), default=0)}"
            )

    def _evaluate(self, step: int) -> None:
        values = self.evaluator.run(self.engine)
        if self.place.is_first:
            self.metrics.append({"step": step, **values})
            self.tracker.metrics(values, step)
            self.progress.say(self.evaluator.describe(step, values))

    def _save(self, step: int, position: int) -> None:
        """Gather on every rank, write on rank 0, and go on together, whatever happened to the disk."""
        weights = gather_weights(self.engine, self.place.is_first)
        optimizer, updates = gather_optimizer(self.engine, self.place.is_first)
        problem = None
        if self.place.is_first:
            state = {
                "step": step,
                "position": position,
                "updates": updates,
                "micro_batches_per_step": self.micro_batches,
                "identity": identity(self.parts),
                "mfe_normalisation": {
                    "mean_kcal_per_mol": self.parts.context.mfe_mean,
                    "std_kcal_per_mol": self.parts.context.mfe_std,
                },
                "rna_types": list(self.parts.context.rna_types),
                "tracking_run": self.tracker.run_id,
            }
            try:
                self.checkpoints.save(step, weights, optimizer, state)
                self.checkpoints.retain(self.config.train.keep_last, self.config.train.keep_every)
            except OSError as error:
                last = max(self.checkpoints.steps(), default=None)
                problem = (
                    f"{self.run_dir}: checkpoint of step {step} not written ({error}); the last whole one is {last}"
                )
        agree(problem, self.place)

    def _prepare_folder(self) -> None:
        problem = None
        if self.place.is_first:
            try:
                self.run_dir.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                problem = f"run.dir: {self.run_dir}: {error.strerror}"
        agree(problem, self.place)

    def _open_records(self) -> None:
        if not self.place.is_first:
            return
        save_config(self.config, self.run_dir / "config.yaml")
        self.metrics.cut_after(self.start.step)
        self.tracker = Tracker(self.config.tracking, self.run_dir, self.start.tracking_run)
        self.tracker.parameters(self.config.model_dump(mode="json"))
        for line in (self.start.message, *(f"note: {note}" for note in notes(self.config))):
            self.progress.say(line)
        for number, source in enumerate(self.maker.sources):
            skipped = {reason: count for reason, count in source.skipped.items() if count}
            self.progress.say(
                f"{self.parts.corpora[number].folder}: {source.size:,} samples per epoch, skipped {skipped or 'none'}"
            )

    def _close_records(self, status: str, step: int) -> None:
        if self.place.is_first:
            self.tracker.artifact(self.run_dir / "config.yaml")
            self.tracker.end(status)
            if status == "FINISHED":
                (self.run_dir / "DONE").write_text(f"{step}\n", encoding="utf-8")
            else:
                self.progress.say(
                    f"stopped by {self.stop.signal_name or 'another rank'} at step {step}; saved, run again to resume"
                )
        barrier(self.place)
