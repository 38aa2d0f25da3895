"""From a counted step to a time on a card: each launch takes the longest of its bytes, its FLOPs and its instructions.

Communication between GPUs is not in it. An estimate, built on assumed shares (``cards.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from pretrain.config import Config
from pretrain.planning.counted import cards
from pretrain.planning.counted.cards import Card
from pretrain.planning.counted.deepspeed_cost import accumulation_bytes, deepspeed_launches
from pretrain.planning.counted.instructions import INSTRUCTIONS, PER_VALUE
from pretrain.planning.counted.ledger import Launch
from pretrain.planning.counted.step import CountedStep


@dataclass(frozen=True)
class Estimate:
    """Seconds of one optimizer step of one GPU.

    Attributes:
        by_kind: of one micro-batch on the device: gemm, attention, elementwise, deepspeed.
        host_s: what the host needs to launch one micro-batch.
        micro_batch_s: one micro-batch, the longer of both and what lies between two.
        update_s: the optimizer.
        tokens_s: tokens per second of one GPU over whole steps.
    """

    by_kind: dict[str, float]
    host_s: float
    micro_batch_s: float
    update_s: float
    tokens_s: float


def estimate(step: CountedStep, config: Config, card: Card, micro_batches: int = 1) -> Estimate:
    """The time of a step of ``micro_batches`` micro-batches like the counted one."""
    memory = card.memory_gb_s * 1e9 * cards.MEMORY
    launches = [launch for launch in step.ledger.launches if launch.phase != "optimizer"]
    by_kind = dict.fromkeys(("gemm", "attention", "elementwise"), 0.0)
    for launch in launches:
        by_kind[launch.kind] += _seconds(launch, step, card) + cards.KERNEL_S * launch.kernels
    after, at_end = deepspeed_launches(config.engine, step.parameter_tensors)
    by_kind["deepspeed"] = accumulation_bytes(config.engine, step.parameters) / memory + after * cards.KERNEL_S
    kernels = sum(launch.kernels for launch in launches)
    host = (kernels + after) * cards.LAUNCH_S
    micro_batch = max(sum(by_kind.values()), host) + cards.BETWEEN_S
    last = [launch for launch in step.ledger.launches if launch.phase == "optimizer"]
    touched = sum(launch.read + launch.written for launch in last)
    in_update = max(sum(launch.kernels for launch in last), at_end)
    update = max(touched / memory + in_update * cards.KERNEL_S, in_update * cards.LAUNCH_S)
    whole = micro_batches * micro_batch + update
    return Estimate(by_kind, host, micro_batch, update, micro_batches * step.tokens / whole)


def _seconds(launch: Launch, step: CountedStep, card: Card) -> float:
    half = launch.dtype in ("bfloat16", "float16")
    moving = (launch.read + launch.written) / (card.memory_gb_s * 1e9 * cards.MEMORY)
    if launch.kind == "gemm":
        rate = card.half_tflops * cards.GEMM_HALF if half else card.float_tflops * cards.GEMM_FLOAT
        return max(moving, launch.flops / (rate * 1e12))
    issue = card.processors * card.clock_ghz * 1e9 * cards.ISSUE  # instructions a second of one warp in four
    if launch.kind == "elementwise":
        return max(moving, PER_VALUE.get(launch.name, 0.0) * launch.values / (4 * issue))
    if not half:
        return max(moving, launch.flops / (card.float_tflops * 1e12 * cards.ATTENTION_FLOAT))
    if launch.name in INSTRUCTIONS:
        issued = INSTRUCTIONS[launch.name] * step.ledger.tiles * launch.heads
        return cards.OVERHEAD * max(moving, issued / issue)
    share = cards.FLASH_BACKWARD if "backward" in launch.name else cards.FLASH_FORWARD
    return max(moving, launch.flops / (card.half_tflops * 1e12 * share))
