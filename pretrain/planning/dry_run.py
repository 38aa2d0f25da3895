"""The option ``--dry-run``: whether a run can start, and everything its config decides, before it starts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.corpus import Corpus
from pretrain.batches.collate import MicroBatch, MicroBatchBuilder
from pretrain.batches.plan import Bounds, Plan, Span
from pretrain.config import Config, dump, notes, phases_of
from pretrain.distributed.context import check_device
from pretrain.errors import PolymeraseError
from pretrain.families import Family
from pretrain.models import ModelSettings
from pretrain.planning.cost_lines import checkpoint_line, communication_line, cost_lines
from pretrain.planning.costs import parameter_count
from pretrain.planning.starting import launch_command, starting_point, step_notes
from pretrain.runs.tracking import check_sinks
from pretrain.training.components import RunComponents, build_components
from pretrain.training.engine import check_deepspeed
from pretrain.training.fit import longest_input
from pretrain.training.initial_weights import settings_of
from pretrain.training.resume import micro_batches_of
from pretrain.training.static_shapes import padded_to


@dataclass(frozen=True)
class RunPlan:
    """Result of a dry run.

    Attributes:
        text: the plan: the most important facts first, the whole config last.
        problem: why the run cannot start; None if it can.
    """

    text: str
    problem: str | None


_LOOKED_AT = 4096  # micro-batches of a step that are cut; what more of them hold is counted from these


@dataclass(frozen=True)
class _Opened:
    """A run whose parts fit: its data, its first micro-batch, and the micro-batches of its second step.

    Of a step of more than 4,096 micro-batches only so many are cut, and ``share`` of the step is above 1.
    """

    components: RunComponents
    builder: MicroBatchBuilder
    batch: MicroBatch
    start: str
    step: list[Span]
    share: float  # micro-batches of a step for each of these
    cut_s: float  # what cutting these took

    @property
    def samples_per_step(self) -> int:
        return round(self.share * (self.step[-1].stop - self.step[0].start))

    @property
    def tokens_per_step(self) -> int:
        tokens = int(self.builder.lengths_at(np.arange(self.step[0].start, self.step[-1].stop)).sum())
        return round(self.share * tokens)


def plan_run(
    config: Config,
    ranks: int,
    words: Sequence[str] = (),
    resume: str = "auto",
    allow_change: Sequence[str] = (),
    card: str | None = None,
) -> RunPlan:
    """Open everything the run would open, and plan it. Sizes are planned without a corpus too.

    Args:
        config: of the run.
        ranks: processes that are planned for, none of which needs to be there.
        words: of the command line, for the command that starts the run.
        resume: as the run would be told.
        allow_change: as the run would be told.
        card: name of a GPU for which the step is counted and its time estimated.
    """
    family, settings, _ = settings_of(config)
    micro_batches = config.batch.micro_batches_per_step or config.batch.accumulation * ranks
    opened, problem, missing, is_new = None, None, _missing_here(config), True
    try:
        check_sinks(config.tracking)
        check_deepspeed(config)
        if missing and _is_for_this_host(ranks, card):
            raise PolymeraseError(f"{missing} (to plan for another host, give --card NAME or --ranks N)")
        components = build_components(config)
        config = components.config
        start = starting_point(components, resume, list(allow_change))
        if start.folder is not None:
            micro_batches, is_new = start.micro_batches_per_step, False
        opened = _open(components, micro_batches, start.message)
    except PolymeraseError as error:
        problem = str(error)
    lengths = opened.batch.packed.lengths if opened else _full_batch(config, longest_input(config, family, settings))
    tokens = opened.tokens_per_step if opened else sum(lengths) * micro_batches
    parameters = parameter_count(config, settings)
    hints = notes(config) + step_notes(config, family, settings, micro_batches, ranks)
    phases = _phases(config, opened, ranks) if config.train.phases else []
    of_run = sum(phase.tokens * phase.steps for phase in phases) or tokens * config.train.steps
    lines = [
        f"can start           {f'no: {problem}' if problem else f'yes: {launch_command(words, ranks)}'}",
        *([f"starts              {opened.start}"] if opened else []),
        f"family              {family.name}",
        f"parameters          {parameters:,}",
        *(f"samples             {line}" for line in (opened.components.samples(opened.builder) if opened else ())),
        f"ranks               {ranks}",
        f"tokens per step     about {tokens:,} ({micro_batches} micro-batches of about {tokens // micro_batches:,})",
        f"steps               {config.train.steps:,} (about {_short(of_run)} tokens)",
        *([_one_shape(opened)] if opened and config.batch.static else []),
        *(phase.text for phase in phases),
        *([f"epochs              {_epochs(opened, phases)}"] if opened else []),
        *cost_lines(config, settings, parameters, ranks, lengths, of_run),
        *(_on_card(config, family, settings, opened, lengths, card, ranks) if card else []),
        *(f"note                {note}" for note in (opened.components.held_out.notes if opened else ())),
        *(f"note                {note}" for note in (opened.components.new_heads if opened and is_new else ())),
        *(f"note                {note}" for note in hints),
        *([f"note                on this host the run cannot start: {missing}"] if missing and not problem else []),
        "",
        "in detail",
        *([_shapes(opened.batch)] if opened else []),
        communication_line(config, parameters, ranks, micro_batches),
        checkpoint_line(config, parameters, ranks),
        *([_shards(opened.components.corpora, opened.builder), _sampler(opened)] if opened else []),
        "",
        "the whole config",
        dump(config).rstrip(),
    ]
    return RunPlan("\n".join(lines), problem)


def _missing_here(config: Config) -> str:
    """What the run needs of its devices and this host lacks; empty if nothing."""
    try:
        check_device(config.engine.precision, config.engine.require_gpu)
    except PolymeraseError as error:
        return str(error)
    return ""


def _is_for_this_host(ranks: int, card: str | None) -> bool:
    """A plan for one rank and no card is of the host it is made on."""
    return ranks == 1 and card is None


def _on_card(
    config: Config,
    family: Family,
    settings: ModelSettings,
    opened: _Opened | None,
    lengths: list[int],
    card: str,
    ranks: int,
) -> list[str]:
    from pretrain.planning.counted.report import count_config, describe_on_card

    real = (opened.components.objectives, opened.components.context, opened.batch) if opened else None
    try:
        step = count_config(config, family, settings, lengths, real)
    except PolymeraseError as error:  # what the run itself cannot start without
        return [f"on {card:<16} not estimated: {error}"]
    return describe_on_card(step, config, settings, card, ranks)


@dataclass(frozen=True)
class _PhasePlan:
    """A line about a phase, and what it reads: steps, tokens and samples of one step."""

    text: str
    steps: int
    tokens: int
    samples: int


def _phases(config: Config, opened: _Opened | None, ranks: int) -> list[_PhasePlan]:
    family, settings, _ = settings_of(config)
    found = []
    for phase in phases_of(config):
        count = micro_batches_of(phase, ranks)
        if opened is None:
            lengths = _full_batch(phase.config, longest_input(phase.config, family, settings))
            tokens, samples = count * sum(lengths), count * len(lengths)
        else:
            its = _open(opened.components.of_phase(phase), count, "")
            tokens, samples = its.tokens_per_step, its.samples_per_step
        text = f"phase {phase.number:<14}{phase.describe()}; about {tokens:,} tokens per step"
        found.append(_PhasePlan(text, phase.end_step - phase.first_step, tokens, samples))
    return found


def _open(components: RunComponents, micro_batches: int, start: str) -> _Opened:
    config, builder = components.config, components.batches("train")
    bounds = Bounds(config.batch.tokens, config.batch.sequences, config.batch.pair_cells)
    batch = padded_to(components, builder)(*next(Plan(builder.lengths_at, bounds, 1).steps(0))[0])
    if components.sources("validation"):
        components.batches("validation")  # the run opens it before its first step
    cut = min(micro_batches, _LOOKED_AT)
    steps = Plan(builder.lengths_at, bounds, cut).steps(0)
    next(steps)  # what is read for the first time
    began = time.perf_counter()
    step = next(steps)
    return _Opened(components, builder, batch, start, step, micro_batches / cut, time.perf_counter() - began)


def _short(count: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6)):
        if count >= size:
            return f"{count / size:,.2f} {unit}"
    return f"{count:,}"


def _full_batch(config: Config, longest: int) -> list[int]:
    """Lengths of a micro-batch of the longest sequences, where there is no corpus to look at."""
    count = config.batch.sequences or max(1, (config.batch.tokens or longest) // longest)
    return [longest] * count


def _epochs(opened: _Opened, phases: list[_PhasePlan]) -> str:
    """How often the run sees each corpus, by the samples of one step (of each phase)."""
    steps = opened.components.config.train.steps
    samples = sum(phase.samples * phase.steps for phase in phases) or opened.samples_per_step * steps
    stream, corpora = opened.builder.stream, opened.components.corpora
    shares = stream.quota / stream.quota.sum()
    seen = [samples * share / size for share, size in zip(shares, stream.sizes, strict=True)]
    if len(seen) == 1:
        return f"about {seen[0]:,.2f} ({opened.samples_per_step:,} samples per step)"
    return ", ".join(f"{corpus.folder} about {count:,.2f}" for corpus, count in zip(corpora, seen, strict=True))


def _shapes(batch: MicroBatch) -> str:
    packed = batch.packed
    targets = ", ".join(f"{name} {count:,}" for name, count in batch.counts.items())
    return (
        f"first batch         input_ids {tuple(packed.input_ids.shape)}, cu_seqlens {tuple(packed.cu_seqlens.shape)}, "
        f"sequences of {min(packed.real_lengths)}-{max(packed.real_lengths)} tokens, targets: {targets}"
    )


def _one_shape(opened: _Opened) -> str:
    fixed = opened.batch.packed.fixed
    assert fixed is not None
    share = 1 - opened.tokens_per_step / (fixed.tokens * len(opened.step) * opened.share)
    return (
        f"one shape           {fixed.tokens:,} tokens and {fixed.sequences:,} places of sequences in every "
        f"micro-batch; {share:.1%} of a step is padding"
    )


def _shards(corpora: list[Corpus], builder: MicroBatchBuilder) -> str:
    """Every rank maps all files and reads what its micro-batches need: nothing is dealt out or copied."""
    files = [path for corpus in corpora for path in corpus.folder.rglob("*") if path.is_file()]
    size, index = sum(path.stat().st_size for path in files), sum(source.index_bytes for source in builder.sources)
    index += sum(clusters.index_bytes for clusters in builder.stream.clusters if clusters)
    return (
        f"shards              {len(files)} files of {size / 2**30:,.2f} GiB, memory-mapped once per host; "
        f"each rank keeps {index / 2**30:,.2f} GiB of sequence lengths"
    )


def _sampler(opened: _Opened) -> str:
    """Every rank cuts the whole step into micro-batches; how long that takes is measured here and now."""
    samples = sum(opened.builder.stream.sizes)
    return (
        f"sampler             {samples:,} samples, whose order needs no memory; a step of "
        f"{opened.samples_per_step:,} of them is cut in {opened.share * opened.cut_s * 1e3:,.1f} ms, ahead of time"
    )
