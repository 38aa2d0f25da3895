"""``--dry-run --card H100``: what a step launches and moves, whether it fits, and about how long a run takes."""

from __future__ import annotations

from pretrain.batches.collate import MicroBatch
from pretrain.batches.padded import PaddedTo
from pretrain.config import Config
from pretrain.errors import PolymeraseError
from pretrain.families import Family
from pretrain.models import ModelSettings
from pretrain.objectives import Objective, ObjectiveContext
from pretrain.planning.costs import flops_per_token, memory_per_rank
from pretrain.planning.counted.cards import find_card
from pretrain.planning.counted.estimate import Estimate, estimate
from pretrain.planning.counted.ledger import KINDS
from pretrain.planning.counted.made_up import made_up_batch, made_up_builder
from pretrain.planning.counted.step import CountedStep, count_step
from pretrain.training.fit import longest_input
from pretrain.training.static_shapes import fixed_shape, why_not_static

_OTHER_BYTES = 1.5e9  # CUDA's own, what the allocator cannot use: assumed


def count_config(
    config: Config,
    family: Family,
    settings: ModelSettings,
    lengths: list[int],
    real: tuple[dict[str, Objective], ObjectiveContext, MicroBatch] | None = None,
) -> CountedStep:
    """Count the step of a config.

    Args:
        config: of the run.
        family: of its model.
        settings: of its model.
        lengths: tokens of the sequences of a micro-batch, if there is no corpus.
        real: objectives, their context and the first micro-batch of the corpus, if there is one.
    """
    if real is None:
        builder, objectives, context = made_up_builder(config, settings, family.build_tokenizer(), lengths)
        batch = made_up_batch(builder, len(lengths))
        if (problem := why_not_static(config, settings, [])) is not None:
            raise PolymeraseError(problem)
        if config.batch.static:
            fixed = fixed_shape(config, longest_input(config, family, settings), builder.tokenizer, [])
            batch = PaddedTo(builder.make, fixed, settings.pad_token_id).filled(batch)
        real = objectives, context, batch
    return count_step(config, settings, *real)


def needed_bytes(step: CountedStep, config: Config, settings: ModelSettings, ranks: int) -> float:
    """About what one of so many GPUs has to hold."""
    memory = memory_per_rank(config, settings, step.parameters, ranks, step.lengths)
    return memory.with_activations(step.activation_bytes).total + _OTHER_BYTES


def describe_on_card(
    step: CountedStep, config: Config, settings: ModelSettings, card_name: str, ranks: int
) -> list[str]:
    """Lines for a person; every time and rate in them is an estimate."""
    card = find_card(card_name)
    micro_batches = config.batch.micro_batches_per_step or config.batch.accumulation * ranks
    per_rank = -(-micro_batches // ranks)
    found = estimate(step, config, card, per_rank)
    needed = needed_bytes(step, config, settings, ranks)
    mean = sum(length * length for length in step.lengths) / step.tokens
    selected = getattr(config.masking, "rate", 0.15)
    used = found.tokens_s * flops_per_token(settings, mean, selected) / (card.half_tflops * 1e12)
    tokens = step.tokens * micro_batches * config.train.steps
    days = tokens / (found.tokens_s * ranks) / 86400
    return [
        f"on {card_name:<16} estimated: counted kernels, bytes and FLOPs, at the usual fraction of the data sheet "
        "(planning/counted/cards.py); communication is not included",
        f"fits                {'yes' if needed <= card.memory_gb * 1e9 else 'no'}: about {needed / 1e9:,.1f} of "
        f"{card.memory_gb:g} GB, activations {step.activation_bytes / 1e9:,.1f}",
        f"tokens/s            about {found.tokens_s:,.0f} on each GPU, {used:.1%} of {card.half_tflops:g} TFLOP/s",
        f"days for the run    about {days:,.1f} on {ranks} GPU{'s' if ranks > 1 else ''}",
        *_counts(step),
        *_times(found),
    ]


def _counts(step: CountedStep) -> list[str]:
    moved = ", ".join(f"{kind} {step.bytes_of(kind) / 1e9:,.1f} GB" for kind in KINDS)
    reads = step.ledger.host_reads
    return [
        f"kernels             {step.kernels('forward'):,} forward, {step.kernels('backward'):,} backward, "
        f"{step.kernels('optimizer'):,} optimizer, for {step.tokens:,} tokens",
        f"moved               {moved}",
        f"computed            {step.flops_of('gemm') / 1e12:,.2f} TFLOP in matrix products, "
        f"{step.flops_of('attention') / 1e12:,.2f} in attention",
        f"sent from the host  {step.sent_bytes / 1e6:,.2f} MB for a micro-batch, in one copy",
        f"host reads          {'; '.join(reads) if reads else 'none'}",
    ]


def _times(found: Estimate) -> list[str]:
    parts = ", ".join(f"{kind} {seconds * 1e3:,.1f}" for kind, seconds in found.by_kind.items())
    device = sum(found.by_kind.values())
    bound = "launching" if found.host_s > device else "the device"
    return [
        f"a micro-batch       about {found.micro_batch_s * 1e3:,.1f} ms, bound by {bound}: {parts}; launching "
        f"{found.host_s * 1e3:,.1f}; an update {found.update_s * 1e3:,.1f}",
    ]
