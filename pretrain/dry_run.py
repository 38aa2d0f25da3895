"""``--dry-run``: everything a config decides, before anything is spent on it."""

from __future__ import annotations

from pretrain.assembly import assemble, encoder_of, longest_input
from pretrain.batching import BatchMaker, MicroBatch
from pretrain.config import Config, dump, notes
from pretrain.costs import flops_per_token, memory_per_rank, parameter_count
from pretrain.data.plan import Bounds, Plan
from pretrain.errors import PolymeraseError
from pretrain.families import find_family


def describe(config: Config, ranks: int) -> str:
    """The resolved plan as text. A missing corpus is said, not fatal: the sizes can be read without it."""
    family = find_family(config.model.family)
    settings, _ = encoder_of(config, family)
    batch, problem = None, None
    try:
        parts = assemble(config)
        config, batch = parts.config, _first_batch(config, parts.batches("train"))
    except PolymeraseError as error:
        problem = str(error)
    micro_batches = config.batch.micro_batches_per_step or config.batch.accumulation * ranks
    lengths = batch.packed.lengths if batch else _full_batch(config, longest_input(config, family, settings))
    parameters = parameter_count(config, settings)
    memory = memory_per_rank(config, settings, parameters, ranks, lengths)
    mean = sum(length * length for length in lengths) / sum(lengths)  # length that a token sees on average
    flops = flops_per_token(settings, mean, config.masking.rate if hasattr(config.masking, "rate") else 0.15)
    tokens = sum(lengths) * micro_batches
    lines = [
        dump(config).rstrip(),
        "",
        f"family              {family.name}",
        f"parameters          {parameters:,}",
        f"ranks               {ranks}",
        f"tokens per step     about {tokens:,} ({micro_batches} micro-batches of {sum(lengths):,})",
        f"steps               {config.train.steps:,} (about {tokens * config.train.steps / 1e9:,.2f} G tokens)",
        f"FLOPs per token     {flops / 1e6:,.1f} M (forward and backward, sequences of {mean:,.0f} tokens)",
        f"FLOPs of the run    {flops * tokens * config.train.steps:.2e}",
        f"memory per rank     about {memory.total / 2**30:,.2f} GiB at ZeRO stage {config.engine.zero_stage}: "
        f"weights {memory.weights / 2**30:,.2f}, gradients {memory.gradients / 2**30:,.2f}, "
        f"optimiser {memory.optimizer / 2**30:,.2f}, activations {memory.activations / 2**30:,.2f}",
        *(_shapes(batch) if batch else [f"first batch         not known: {problem}"]),
        *(f"note                {note}" for note in notes(config)),
    ]
    return "\n".join(lines)


def _first_batch(config: Config, maker: BatchMaker) -> MicroBatch:
    bounds = Bounds(config.batch.tokens, config.batch.sequences, config.batch.pair_cells)
    span = next(Plan(maker.lengths_at, bounds, 1).steps(0))[0]
    return maker.make(*span)


def _full_batch(config: Config, longest: int) -> list[int]:
    """Lengths of a micro-batch of the longest sequences, where there is no corpus to look at."""
    count = config.batch.sequences or max(1, (config.batch.tokens or longest) // longest)
    return [longest] * count


def _shapes(batch: MicroBatch) -> list[str]:
    packed = batch.packed
    targets = ", ".join(f"{name} {count:,}" for name, count in batch.counts.items())
    return [
        f"first batch         input_ids {tuple(packed.input_ids.shape)}, cu_seqlens {tuple(packed.cu_seqlens.shape)}, "
        f"sequences of {min(packed.lengths)}-{max(packed.lengths)} tokens, targets: {targets}"
    ]
