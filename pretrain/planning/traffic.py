"""What a rank sends to others in one optimizer step, by ZeRO stage. Formulas; a test compares them with a cable.

Collectives run as rings: of a tensor of b bytes on W ranks every rank sends 2 b (W-1)/W for an all-reduce and
b (W-1)/W for an all-gather or a reduce-scatter. What DeepSpeed 0.19 calls, seen by counting its collectives:

    stage 0   all-reduce of the float32 gradients, once per step
    stage 1   all-reduce of the gradients in the precision of the weights, once per step; all-gather of the new weights
    stage 2   the same all-reduce after every micro-batch; all-gather of the new weights, once per step
    stage 3   for every micro-batch an all-gather of the weights (twice where the model exceeds what may stay gathered)
              and a reduce-scatter of the gradients
"""

from __future__ import annotations

from typing import NamedTuple

from pretrain.config import Config
from pretrain.planning.costs import STAYS_GATHERED

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


class CommunicationVolume(NamedTuple):
    """Bytes that one rank sends in one optimizer step."""

    gradients: float
    weights: float

    @property
    def total(self) -> float:
        """Sum of all parts, in bytes."""
        return self.gradients + self.weights


def sent_per_step(
    config: Config, parameters: int, ranks: int, micro_batches_per_rank: int, gloo: bool = False
) -> CommunicationVolume:
    """Return the volume of a step with ``micro_batches_per_rank`` micro-batches on each rank.

    On CPUs, gloo runs a reduce-scatter as an all-reduce.
    """
    stage = config.engine.zero_stage
    share = (ranks - 1) / ranks
    size = _BYTES[config.engine.precision] if stage else 4
    once = share * size * parameters
    if stage == 0:
        return CommunicationVolume(2 * once, 0.0)
    if stage == 1:
        return CommunicationVolume(2 * once, once)
    if stage == 2:
        return CommunicationVolume(2 * once * micro_batches_per_rank, once)
    gathers = 1 if parameters <= STAYS_GATHERED else 2
    scatters = 2 if gloo else 1
    return CommunicationVolume(scatters * once * micro_batches_per_rank, gathers * once * micro_batches_per_rank)
