"""What DeepSpeed launches beside the model: counted with DeepSpeed 0.19.8 on a CPU, on 202 parameter tensors."""

from __future__ import annotations

from typing import NamedTuple

from pretrain.config.sections import Engine


class DeepSpeedLaunches(NamedTuple):
    """Kernels per parameter tensor: after each micro-batch, and once per step (the update included)."""

    per_micro_batch: float
    per_step: float


# (ZeRO stage, 16 bits): BF16_Optimizer sums gradients and clips tensor by tensor; stage 2 looks for overflow that way
_LAUNCHES = {
    (0, False): DeepSpeedLaunches(0.0, 0.1),
    (0, True): DeepSpeedLaunches(0.0, 0.1),
    (1, False): DeepSpeedLaunches(1.0, 2.4),
    (1, True): DeepSpeedLaunches(2.0, 2.2),
    (2, False): DeepSpeedLaunches(2.5, 8.0),
    (2, True): DeepSpeedLaunches(3.5, 15.5),
    (3, False): DeepSpeedLaunches(2.5, 2.4),
    (3, True): DeepSpeedLaunches(2.5, 2.4),
}

# reads of the host per step (tests/training/test_waits.py counts them): its ZeRO stages decide on the host whether to
# make an update
_HOST_READS = {0: (0, 0), 1: (3, 2), 2: (4, 4), 3: (1, 1)}


def host_reads(engine: Engine) -> int:
    """How often DeepSpeed reads a value of the device in a step."""
    return _HOST_READS[engine.zero_stage][engine.precision != "fp32"]


def deepspeed_launches(engine: Engine, tensors: int) -> tuple[float, float]:
    """Kernels after each micro-batch and once per step, for a model of so many parameter tensors."""
    row = _LAUNCHES[engine.zero_stage, engine.precision != "fp32"]
    return row.per_micro_batch * tensors, row.per_step * tensors


def accumulation_bytes(engine: Engine, parameters: int) -> int:
    """Read and written after each micro-batch: 16-bit gradients are added to float32 sums."""
    return 0 if engine.zero_stage == 0 else parameters * (2 + 4 + 4 if engine.precision != "fp32" else 12)
