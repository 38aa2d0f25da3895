"""The training loop, in the order things happen."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch

from pretrain.assembly import Parts
from pretrain.batching import MicroBatch, filler_of, to_device
from pretrain.checkpoint import OPTIMIZER, WEIGHTS, Checkpoints, read_state, read_tensors
from pretrain.data.loader import load_steps
from pretrain.data.plan import Bounds, Plan
from pretrain.distributed import Place, agree, from_first, sum_over_ranks
from pretrain.engine import Engine
from pretrain.errors import PolymeraseError, RunError
from pretrain.evaluation import Evaluator
from pretrain.guard import Guard, Stretch
from pretrain.identity import identity
from pretrain.metrics import Meter
from pretrain.normalisation import StepCounts, StepTotals, coefficients
from pretrain.patience import Patience
from pretrain.records import Records, claim_folder
from pretrain.resume import find_start, newest_whole
from pretrain.schedule import learning_rate
from pretrain.signals import StopFlag
from pretrain.state import gather_optimizer, gather_weights, loss_scale, restore


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
        self._lock = claim_folder(self.run_dir, place)
        start = find_start(parts, place, self.run_dir, resume, allow_change)
        batch = self.config.batch
        self.micro_batches = start.micro_batches_per_step
        self.turns = -(-self.micro_batches // place.world_size)
        self.engine = Engine(self.config, parts.model(), self.turns)
        self.maker = parts.batches("train")
        bounds = Bounds(batch.tokens, batch.sequences, batch.pair_cells)
        self.plan = Plan(self.maker.lengths_at, bounds, self.micro_batches)
        self.guard = Guard(self.config, place)
        weights = {name: objective.weight for name, objective in parts.objectives.items()}
        self.patience = Patience(self.config.train.patience, weights)
        self.step, self.position, self._saved = 0, 0, -1
        self._untrained: list[str] = []
        if start.folder is not None:
            self._load(start.folder, start.state)
            self.guard.restore(start.state["guard"])
        self.evaluator = Evaluator(parts, place)
        self.checkpoints = Checkpoints(self.run_dir)
        self.meter = Meter(parts.objectives, parts.context.strategies, place)
        self.records = Records(parts, place, self.run_dir, start)
        self.rate = learning_rate(self.config)
        self._stopping = False
        self._filler: MicroBatch | None = None

    def run(self) -> bool:
        """Train. Returns whether the last step was reached (False: asked to stop, everything saved)."""
        self.records.open(self.maker)
        train = self.config.train
        if self._untrained:
            self.records.event(self.step, f"not in the checkpoint, untrained: {', '.join(self._untrained)}")
        self._stopping = sum_over_ranks([int(bool(self.stop))], self.place)[0] > 0
        try:
            with self.records.progress:
                if "roll_back" in (train.on_bad_step, train.on_spike) and self.step == 0:
                    self._save()  # somewhere to go back to
                while bad := self._train_until_bad():
                    self._go_back(bad)
            if self.step >= train.steps:
                self._evaluate()
            if self._saved != self.step:
                self._save(last=True)
        except PolymeraseError:
            self.records.failed()
            raise
        done = self.step >= train.steps or self.patience.exhausted
        self.records.close(self.step, None if done else self.stop.signal_name or "another rank")
        return done

    def _train_until_bad(self) -> list[Stretch]:
        """Train to the end, or to a wish to stop, or to steps that call for the last checkpoint: those are returned."""
        train, world = self.config.train, self.place.world_size
        steps = load_steps(self.plan, self.position, self.maker.make, self.place.rank, world, train.loader_workers)
        with contextlib.closing(steps):
            while self.step < train.steps and not self._stopping and not self.patience.exhausted:
                with self.records.progress.waiting():
                    mine = next(steps)
                stretch = Stretch(self.step + 1, self.position, mine.end)
                totals = self._update(stretch, [self._filled(turn) for turn in mine.turns])
                self.step, self.position = stretch.step, stretch.end
                if self.place.watch:
                    self.place.watch.step = self.step
                self.records.progress.advance(self.step, totals)
                last = self.step == train.steps
                logs = last or self._due(train.log_every)
                evaluates, saves = (not last and self._due(every) for every in (train.eval_every, train.save_every))
                if logs or evaluates or saves:
                    self.guard.read()
                if logs:
                    self._log(totals)
                if bad := self.guard.to_undo():
                    return bad
                if evaluates:
                    self._evaluate()
                if saves and self._saved != self.step:
                    self._save()
        self.guard.read()
        return self.guard.to_undo()

    def _due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def _update(self, stretch: Stretch, batches: list[MicroBatch]) -> StepTotals:
        """One optimiser step: every rank's micro-batches, each loss divided by what the whole step holds."""
        objectives, names = self.parts.objectives, list(self.parts.objectives)
        # the one exchange of a step between hosts: counts, and whether any rank was asked to stop
        *counts, asked = sum_over_ranks([*StepCounts(names, batches).values, int(bool(self.stop))], self.place)
        totals, self._stopping = StepTotals(names, counts), asked > 0
        scale = self.place.world_size * self.turns
        total = torch.zeros((), device=self.place.device)
        dropped = False
        for turn, batch in enumerate(batches, 1):
            packed, targets = to_device(batch, self.place.device)
            torch.manual_seed(batch.dropout_seed)
            factors = coefficients(batch, totals, objectives, self.config.objectives.reduction, scale)
            loss, sums = self.engine.forward(packed, targets, factors)
            self.meter.add(batch, sums)
            total += loss.detach() / scale
            if turn == len(batches):
                self.guard.note(stretch, total)
                if self.guard.needs_every_loss and self.guard.read():
                    loss = loss * torch.nan  # a gradient that is not finite is dropped on all ranks
            self.engine.backward(loss)
            dropped = self.engine.end_micro_batch(self.rate(stretch.step - 1))
        if dropped:
            self.guard.dropped(stretch)
        return totals

    def _filled(self, batch: MicroBatch | None) -> MicroBatch:
        if batch is not None:
            return batch
        self._filler = self._filler or filler_of(self.maker.make(0, 1))
        return self._filler

    def _log(self, totals: StepTotals) -> None:
        means = self.meter.report()
        loss = sum(
            objective.weight * means.get(f"{name}/loss", 0.0) for name, objective in self.parts.objectives.items()
        )
        values: dict[str, float] = {
            "loss": loss,
            **means,
            "learning_rate": self.rate(self.step - 1),
            "gradient_norm": self.engine.gradient_norm(),
            **self.guard.counts,
        }
        values |= self.records.progress.report(means, loss, self.guard.counts)
        self.records.numbers(self.step, values, batch_digest=totals.digest)

    def _evaluate(self) -> None:
        values = self.evaluator.run(self.engine)
        self.records.numbers(self.step, values)
        if self.place.is_first:
            self.records.progress.say(self.evaluator.describe(self.step, values))
        if self.step == self.config.train.steps:
            return
        if self.patience.note(self.step, values):
            self._save()
        if self.patience.exhausted:
            self.records.event(self.step, self.patience.describe())

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        weights, optimizer = read_tensors(folder, WEIGHTS), read_tensors(folder, OPTIMIZER)
        self._untrained = restore(self.engine, weights, optimizer, state["updates"], state["loss_scale"])
        self.step, self.position, self._saved = state["step"], state["position"], state["step"]
        self.plan.passed_over |= dict(state["passed_over"])
        self.patience.restore(state["patience"])

    def _go_back(self, bad: list[Stretch]) -> None:
        """To the last checkpoint; from there on without the parts of the stream that the bad steps took."""
        warnings: list[str] = []
        folder = newest_whole(self.checkpoints, self.place, warnings)
        seen_at, state = self.step, read_state(folder)
        self._load(folder, state)
        self.plan.passed_over |= {stretch.start: stretch.end for stretch in bad}
        self.guard.went_back(state["guard"], self.step)
        self.meter.report()
        steps = ", ".join(str(stretch.step) for stretch in bad)
        back = f"bad steps {steps}: went back to step {self.step}, their batches will be passed over"
        self.records.event(seen_at, "; ".join([*warnings, back]))

    def _save(self, last: bool = False) -> None:
        """Gather on every rank, write on rank 0, and go on together, whatever happened to the disk."""
        weights = gather_weights(self.engine, self.place.is_first)
        optimizer, updates = gather_optimizer(self.engine, self.place.is_first)
        problem = None
        if self.place.is_first:
            state = {
                "step": self.step,
                "position": self.position,
                "passed_over": sorted(self.plan.passed_over.items()),
                "updates": updates,
                "loss_scale": loss_scale(self.engine),
                "guard": self.guard.state(),
                "patience": self.patience.state(),
                "micro_batches_per_step": self.micro_batches,
                "identity": identity(self.parts),
                "mfe_normalisation": {
                    "mean_kcal_per_mol": self.parts.context.mfe_mean,
                    "std_kcal_per_mol": self.parts.context.mfe_std,
                },
                "rna_types": list(self.parts.context.rna_types),
                "tracking_run": self.records.tracking_run,
            }
            try:
                self.checkpoints.save(self.step, weights, optimizer, state)
                self.checkpoints.retain(
                    self.config.train.keep_last, self.config.train.keep_every, self.patience.best_step
                )
            except OSError as error:
                whole = max(self.checkpoints.steps(), default="none")
                problem = f"{self.run_dir}: checkpoint of step {self.step} not written ({error}); last one: {whole}"
        if last or self.config.train.on_save_failure == "stop":
            agree(problem, self.place, RunError)
        problem = from_first(problem, self.place)
        if problem is None:
            self._saved = self.step
        else:
            self.records.event(self.step, f"warning: {problem}; going on (train.on_save_failure)")
