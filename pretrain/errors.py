"""The exceptions users see: the message is one line that says what is wrong, where, and what to do."""

import difflib
from collections.abc import Iterable


class PolymeraseError(Exception):
    """Bad input, configuration or state. Commands print it as ``error: ...`` and exit with status 2."""


class RunError(PolymeraseError):
    """The input was right, the run cannot go on: a lost rank, a full disk, a diverged loss. Exit status 1."""


def nearest(name: str, known: Iterable[str], cutoff: float = 0.0) -> str | None:
    """The known name that is most like ``name``; None where none is alike enough (0: any is, 1: only itself)."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, cutoff)), None)


def unknown_name(what: str, name: str, known: Iterable[str]) -> PolymeraseError:
    """The error for a name that is in no registry: what it should be, the nearest one, and all there are."""
    names = list(known)
    return PolymeraseError(f"no {what} {name!r}; did you mean {nearest(name, names)!r}? (all: {', '.join(names)})")
