"""What a run costs, as lines of a dry run: FLOPs, memory, traffic, checkpoints. The formulas are in ``costs.py``."""

from __future__ import annotations

from pretrain.config import Config
from pretrain.models import ModelSettings
from pretrain.planning.costs import flops_per_token, memory_per_rank, optimizer_bytes
from pretrain.planning.traffic import sent_per_step
from pretrain.training.saving import saving_of


def cost_lines(
    config: Config, settings: ModelSettings, parameters: int, ranks: int, lengths: list[int], tokens_of_run: int
) -> list[str]:
    """FLOPs and memory of a step on micro-batches of sequences of these ``lengths`` (tokens)."""
    memory = memory_per_rank(config, settings, parameters, ranks, lengths)
    mean = sum(length * length for length in lengths) / sum(lengths)  # length that a token sees on average
    flops = flops_per_token(settings, mean, config.masking.rate if hasattr(config.masking, "rate") else 0.15)
    return [
        f"FLOPs per token     {flops / 1e6:,.1f} M (forward and backward, sequences of {mean:,.0f} tokens)",
        f"FLOPs of the run    {flops * tokens_of_run:.2e}",
        f"memory per rank     about {memory.total / 2**30:,.2f} GiB at ZeRO stage {config.engine.zero_stage}: "
        f"weights {memory.weights / 2**30:,.2f}, gradients {memory.gradients / 2**30:,.2f}, "
        f"optimizer {memory.optimizer / 2**30:,.2f}, buffers {memory.buffers / 2**30:,.2f}, "
        f"activations {memory.activations / 2**30:,.2f}",
    ]


def communication_line(config: Config, parameters: int, ranks: int, micro_batches: int) -> str:
    """What each rank sends in a step of so many micro-batches over all ranks."""
    sent = sent_per_step(config, parameters, ranks, micro_batches_per_rank=-(-micro_batches // ranks))
    return (
        f"communication       about {sent.total / 2**30:,.2f} GiB sent by each rank in each step: "
        f"gradients {sent.gradients / 2**30:,.2f}, weights {sent.weights / 2**30:,.2f}"
    )


def checkpoint_line(config: Config, parameters: int, ranks: int) -> str:
    """How large a checkpoint is, and who writes it."""
    size = parameters * (4 + optimizer_bytes(config.optimizer))
    written = {
        "background": "written by rank 0 beside the training",
        "waiting": "written by rank 0",
        "sharded": "a part of it written by each rank",
    }[saving_of(config, parameters, ranks)]
    return f"checkpoint          about {size / 2**30:,.2f} GiB, {written}, verified once per host when read"
