"""What a place that shows runs must be able to do, beside the run folder that holds everything anyway."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pretrain.config.sections import Tracking


class Line(NamedTuple):
    """The numbers of one step, and when they were written."""

    step: int
    time_ms: int
    values: dict[str, float]


class Sink(ABC):
    """One run at one place. Every call but the constructor comes from the thread of its outbox, and may raise.

    Args:
        settings: the ``tracking`` section.
        run_dir: run folder.
        run_id: what the place calls this run; None for a new one.
        running: the run goes on; False for whoever adds something to a run afterwards.
        first_step: the run goes on after this step.

    Attributes:
        label: name in messages.
        package: the import it needs.
        takes_later: whether something may be added when the run has ended.
    """

    label: ClassVar[str]
    package: ClassVar[str]
    takes_later: ClassVar[bool] = False

    def __init__(self, settings: Tracking, run_dir: Path, run_id: str | None, running: bool, first_step: int):
        self.settings, self.run_dir, self.run_id = settings, run_dir, run_id
        self.running, self.first_step = running, first_step

    @abstractmethod
    def open(self) -> None:
        """Reach the place, and make the run there or go on with it. May be called again after it failed."""

    @abstractmethod
    def last_step(self) -> int:
        """Return the newest step that has arrived there; what ``metrics.jsonl`` has beyond it is sent again."""

    @abstractmethod
    def parameters(self, flat: dict[str, Any]) -> None:
        """Take the settings, under dotted keys."""

    @abstractmethod
    def metrics(self, lines: list[Line]) -> None:
        """Take the numbers of some steps."""

    @abstractmethod
    def tag(self, name: str, value: str) -> None:
        """Take a note on the run."""

    @abstractmethod
    def corpus(self, folder: Path, fingerprint: str, statistics: dict[str, Any]) -> None:
        """Take a corpus by its content; the same one twice counts once."""

    @abstractmethod
    def artifact(self, path: Path, folder: str | None) -> None:
        """Take a file."""

    @abstractmethod
    def end(self, status: str) -> None:
        """Close the run: FINISHED, FAILED or KILLED."""

    def follows(self, source: Path) -> None:
        """The run started from the weights at this place."""
        self.tag("continues", str(source))

    @abstractmethod
    def answers(self) -> bool:
        """Whether the place itself works, so that a failure is one of what was sent; False until it was opened."""
