"""``--dry-run``: everything a config decides, before anything is spent on it."""

from __future__ import annotations

import time

from data_prep.corpus import Corpus
from pretrain.batches.collate import MicroBatch, MicroBatchBuilder
from pretrain.batches.plan import Bounds, Plan
from pretrain.config import Config, dump, notes
from pretrain.errors import PolymeraseError
from pretrain.planning.costs import flops_per_token, memory_per_rank, optimizer_bytes, parameter_count
from pretrain.planning.traffic import sent_per_step
from pretrain.training.components import build_components, longest_input
from pretrain.training.initial_weights import settings_of


def describe(config: Config, ranks: int) -> str:
    """The resolved plan as text. A missing corpus is said, not fatal: the sizes can be read without it."""
    family, settings, _ = settings_of(config)
    components, builder, batch, problem = None, None, None, None
    try:
        components = build_components(config)
        config, builder = components.config, components.batches("train")
        batch = _first_batch(config, builder)
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
        f"optimiser {memory.optimizer / 2**30:,.2f}, buffers {memory.buffers / 2**30:,.2f}, "
        f"activations {memory.activations / 2**30:,.2f}",
        _communication(config, parameters, ranks, micro_batches),
        _checkpoint(config, parameters),
        *(_shapes(batch) if batch else [f"first batch         not known: {problem}"]),
        *(
            [
                _shards(components.corpora, builder),
                _sampler(config, builder, micro_batches),
                *(f"samples             {line}" for line in components.samples(builder)),
                *(f"note                {note}" for note in components.held_out.notes),
            ]
            if components and builder
            else []
        ),
        *(f"note                {note}" for note in notes(config)),
    ]
    return "\n".join(lines)


def _plan(config: Config, builder: MicroBatchBuilder, micro_batches: int) -> Plan:
    bounds = Bounds(config.batch.tokens, config.batch.sequences, config.batch.pair_cells)
    return Plan(builder.lengths_at, bounds, micro_batches)


def _first_batch(config: Config, builder: MicroBatchBuilder) -> MicroBatch:
    return builder.make(*next(_plan(config, builder, 1).steps(0))[0])


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


def _communication(config: Config, parameters: int, ranks: int, micro_batches: int) -> str:
    sent = sent_per_step(config, parameters, ranks, micro_batches_per_rank=-(-micro_batches // ranks))
    return (
        f"communication       about {sent.total / 2**30:,.2f} GiB sent by each rank in each step: "
        f"gradients {sent.gradients / 2**30:,.2f}, weights {sent.weights / 2**30:,.2f}"
    )


def _checkpoint(config: Config, parameters: int) -> str:
    size = parameters * (4 + optimizer_bytes(config.optimizer))
    return f"checkpoint          about {size / 2**30:,.2f} GiB, written by rank 0, verified once per host when read"


def _shards(corpora: list[Corpus], builder: MicroBatchBuilder) -> str:
    """Every rank maps all files and reads what its micro-batches need: nothing is dealt out or copied."""
    files = [path for corpus in corpora for path in corpus.folder.rglob("*") if path.is_file()]
    size, index = sum(path.stat().st_size for path in files), sum(source.index_bytes for source in builder.sources)
    return (
        f"shards              {len(files)} files of {size / 2**30:,.2f} GiB, mapped into memory once per host; "
        f"each rank keeps {index / 2**30:,.2f} GiB of sequence lengths"
    )


def _sampler(config: Config, builder: MicroBatchBuilder, micro_batches: int) -> str:
    """Every rank cuts the whole step into micro-batches; how long that takes is measured here and now."""
    plan = _plan(config, builder, micro_batches).steps(0)
    next(plan)
    began = time.perf_counter()
    step = next(plan)
    seconds = time.perf_counter() - began
    samples = sum(source.size for source in builder.sources)
    return (
        f"sampler             {samples:,} samples in an order that needs no memory; a step of "
        f"{step[-1].stop - step[0].start:,} of them is cut in {seconds * 1e3:,.1f} ms, ahead of its turn"
    )
