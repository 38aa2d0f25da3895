"""``train.phases``: a run as phases, each with everything said.

Nothing is kept of a phase but the step: which phase a step belongs to, its config, and where its schedule began follow
from the run's config alone, so a run that was stopped anywhere goes on in the right one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from pretrain.config.checked import check_sections
from pretrain.config.phase import Phase
from pretrain.config.section import Section
from pretrain.config.sections import Config
from pretrain.config.yaml_file import merge
from pretrain.errors import PolymeraseError
from pretrain.masking.settings import strategy_names

_OF_THE_RUN = {"corpus": ("path", "extra", "weight", "label_slot", "upper_case")}
_WHOLE_RUN = Phase(steps=1)  # what a run without phases sets


@dataclass(frozen=True)
class RunPhase:
    """One phase, or the whole of a run without phases.

    Attributes:
        number: from 1.
        first_step: optimizer steps done when it begins.
        config: the run's with the phase's keys in their places; ``train.steps`` is where the phase ends.
        schedule_from: steps done when the schedule that holds here began.
        schedule_until: where it ends: at the next phase with a schedule of its own, or with the run.
        reads_anew: its samples are others than those of the phase before: it begins with a whole epoch of them.
        given: what the phase itself sets.
    """

    number: int
    first_step: int
    config: Config
    schedule_from: int
    schedule_until: int
    reads_anew: bool
    given: Phase

    @property
    def end_step(self) -> int:
        """Optimizer steps done when it ends."""
        return self.config.train.steps

    @property
    def schedule_steps(self) -> int:
        """Length of its schedule."""
        return self.config.schedule.total_steps or self.schedule_until - self.schedule_from

    def starts_at(self, step: int) -> bool:
        """Whether it begins, behind another phase, where ``step`` steps are done."""
        return self.number > 1 and step == self.first_step

    def describe(self) -> str:
        """What it is, in words."""
        sets = [f"{key}={_short(value)}" for key, value in _leaves(self.given.overrides())]
        sets += ["a new schedule"] * (self.given.schedule == {}) + ["a fresh optimizer"] * self.given.fresh_optimizer
        return f"steps {self.first_step + 1:,} to {self.end_step:,}: {', '.join(sets) or 'the settings of the run'}"


def phases_of(config: Config) -> list[RunPhase]:
    """The phases of a checked run in order; a run without phases is one."""
    given, total = config.train.phases, config.train.steps
    if not given:
        return [RunPhase(1, 0, config, 0, total, False, _WHOLE_RUN)]
    ends = list(accumulate(phase.steps for phase in given))
    starts = [0, *ends[:-1]]
    scheduled = [start for start, phase in zip(starts, given, strict=True) if not start or phase.schedule is not None]
    schedule: dict[str, Any] = {}
    found: list[RunPhase] = []
    for number, (phase, start, end) in enumerate(zip(given, starts, ends, strict=True), 1):
        schedule = schedule if phase.schedule is None else phase.schedule
        tree = merge(
            config.model_dump(mode="json", exclude_unset=True),
            {**phase.overrides(), "schedule": schedule, "train": {"steps": end, "phases": []}},
        )
        own = check_sections(tree, f"train.phases.{number - 1}")
        found.append(
            RunPhase(
                number=number,
                first_step=start,
                config=own,
                schedule_from=max(first for first in scheduled if first <= start),
                schedule_until=min((first for first in scheduled if first > start), default=total),
                reads_anew=number > 1 and own.corpus != found[-1].config.corpus,
                given=phase,
            )
        )
    return found


def phase_at(phases: list[RunPhase], step: int) -> RunPhase:
    """The phase of the update that follows ``step`` updates; of a finished run the last one."""
    return next((phase for phase in phases if step < phase.end_step), phases[-1])


def phase_of_checkpoint(phases: list[RunPhase], step: int) -> RunPhase:
    """The phase in which the checkpoint of ``step`` was written: where two meet, the one that ended."""
    return next((phase for phase in phases if step <= phase.end_step), phases[-1])


def check_phases(config: Config, where: str) -> None:
    """Raise PolymeraseError for phases that do not add up, contradict the run or set what has no effect."""
    if not config.train.phases:
        return
    try:
        for problem in _of_the_list(config):
            raise PolymeraseError(problem)
        for problem in _of_the_phases(config, phases_of(config)):
            raise PolymeraseError(problem)
    except PolymeraseError as error:
        raise PolymeraseError(f"{where}: {error}") from None


def _of_the_list(config: Config) -> Iterator[str]:
    """What is wrong with the phases as they stand in the file."""
    for number, phase in enumerate(config.train.phases):
        for section, keys in phase.overrides().items():
            key = f"train.phases.{number}.{section}"
            if not keys and section != "schedule":
                yield f"{key} sets nothing; leave it out"
            for name in sorted(set(keys) & set(_OF_THE_RUN.get(section, ()))):
                yield (
                    f"{key}.{name} belongs to the whole run, because all phases read the same corpora; set "
                    f"{section}.{name}"
                )
    if config.train.phases[0].fresh_optimizer:
        yield "train.phases.0.fresh_optimizer has no effect: every run begins with a fresh optimizer; leave it out"
    total = sum(phase.steps for phase in config.train.phases)
    if total != config.train.steps:
        yield (
            f"train.phases: expected lengths that add up to train.steps={config.train.steps}, got {total}; "
            "make them equal (train.phases=[] trains without phases)"
        )


def _of_the_phases(config: Config, phases: list[RunPhase]) -> Iterator[str]:
    """What is wrong with them beside the run's own keys."""
    names = strategy_names(config.masking)
    for phase in phases:
        key, own = f"train.phases.{phase.number - 1}", phase.config
        if strategy_names(own.masking) != names:
            yield (
                f"{key}.masking: expected the strategies of the run, {' and '.join(names)}, got "
                f"{' and '.join(strategy_names(own.masking))}; change rates, or the weights of a mixture's parts"
            )
        if own.optimizer.name != config.optimizer.name:
            yield f"{key}.optimizer.name={own.optimizer.name}, the run's is {config.optimizer.name}; take one for all"
    for section in ("optimizer", "schedule"):  # the run's corpus, masking and batch are those of held-out samples
        for name, value in _stated(getattr(config, section)).items():
            if all(name in (getattr(_source(phase, phases, section), section) or {}) for phase in phases):
                yield f"{section}.{name}={value} has no effect: every one of train.phases sets it; leave it out"


def _stated(section: Section) -> dict[str, Any]:
    """Keys that differ from their defaults."""
    fields = type(section).model_fields
    return {name: value for name, value in section if value != fields[name].default}


def _source(phase: RunPhase, phases: list[RunPhase], section: str) -> Phase:
    """Whose keys of a section hold in a phase: its own, or those of the phase that began its schedule."""
    return (phase if section != "schedule" else phase_at(phases, phase.schedule_from)).given


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
