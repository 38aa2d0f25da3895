"""One optimizer step: every rank's micro-batches, each loss divided by the totals of the whole step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pretrain.batches.collate import MicroBatch, dummy_batch, to_device
from pretrain.batches.padded import PaddedTo
from pretrain.distributed.context import DistributedContext, sum_over_ranks
from pretrain.distributed.signals import StopFlag
from pretrain.objectives import Objective
from pretrain.training.background import BackgroundWriter
from pretrain.training.engine import Engine
from pretrain.training.loss_reduction import StepCounts, StepTotals, coefficients
from pretrain.training.metrics import Meter
from pretrain.training.stability import StabilityMonitor, StepSpan


@dataclass
class OptimizerStep:
    """The step of a run, called once per step.

    Attributes:
        micro_batches_per_rank: that every rank computes per step; ranks without work compute a dummy.
        learning_rate: updates done before -> rate of the next one.
        asked_to_stop: whether any rank had been asked to stop when the last step began.
        save_failed: whether a checkpoint could not be written, when the last step began; the same on every rank.
    """

    objectives: dict[str, Objective]
    reduction: str
    dist_context: DistributedContext
    engine: Engine
    maker: PaddedTo
    meter: Meter
    stability: StabilityMonitor
    stop: StopFlag
    writer: BackgroundWriter
    micro_batches_per_rank: int
    learning_rate: Callable[[int], float]
    asked_to_stop: bool = False
    save_failed: bool = False
    _dummy: MicroBatch | None = None

    def __call__(self, span: StepSpan, batches: list[MicroBatch | None]) -> StepTotals:
        """Forward, backward and update; None stands for a micro-batch that this rank has not got. Collective."""
        whole = [self._filled(batch) for batch in batches]
        names = list(self.objectives)
        # the one exchange of a step between hosts: counts, and whether any rank was asked to stop or could not save
        flags = [int(bool(self.stop)), int(self.writer.failed)]
        *counts, asked, failed = sum_over_ranks([*StepCounts(names, whole).values, *flags], self.dist_context)
        totals, self.asked_to_stop, self.save_failed = StepTotals(names, counts), asked > 0, failed > 0
        scale = self.dist_context.world_size * self.micro_batches_per_rank
        step_loss = torch.zeros((), device=self.dist_context.device)
        dropped: bool | Tensor = False
        for number, batch in enumerate(whole, 1):
            packed, targets = to_device(batch, self.dist_context.device)
            torch.manual_seed(batch.dropout_seed)
            factors = coefficients(batch, totals, self.objectives, self.reduction, scale)
            loss, sums = self.engine.forward(packed, targets, factors)
            self.meter.add(batch, sums)
            step_loss += loss.detach() / scale
            if number == len(whole):
                self.stability.note(span, step_loss)
                if self.stability.needs_every_loss and self.stability.read():
                    loss = loss * torch.nan  # a gradient that is not finite is dropped on all ranks
            self.engine.backward(loss)
            dropped = self.engine.end_micro_batch(self.learning_rate(span.step - 1))
        self.stability.note_norm(span, self.engine.norm_on_device())
        self.stability.dropped(span, dropped)
        return totals

    def _filled(self, batch: MicroBatch | None) -> MicroBatch:
        if batch is not None:
            return batch
        self._dummy = self._dummy or self.maker.filled(dummy_batch(self.maker.make(0, 1)))
        return self._dummy
