"""The exceptions users see: the message is one line that says what is wrong, where, and what to do."""

import difflib
from collections.abc import Iterable

_NEARLY, _ALIKE = 0.1, 0.8  # difflib's ratio: how much less a second suggestion may be alike, and at least


class PolymeraseError(Exception):
    """Wrong input, configuration or state. Commands print it as ``error: ...`` and exit with status 2."""


class RunError(PolymeraseError):
    """The input was right but the run cannot go on: a lost rank, a full disk, a diverged loss. Exit status 1."""


def nearest(name: str, known: Iterable[str], cutoff: float = 0.0) -> str | None:
    """Return the known name most like ``name``; None if none is alike enough (cutoff 0: any is, 1: only itself)."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, cutoff)), None)


def nearest_names(name: str, known: Iterable[str]) -> str:
    """Return the nearest known name, quoted; both where the second one is nearly as near and much alike."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 2, 0.0)
    ratios = [difflib.SequenceMatcher(None, other, name).ratio() for other in close]
    both = len(close) == 2 and ratios[1] > max(ratios[0] - _NEARLY, _ALIKE)
    return " or ".join(map(repr, close if both else close[:1]))


def unknown_name(what: str, name: str, known: Iterable[str]) -> PolymeraseError:
    """Build the error for a name in no registry: the kind of name, the nearest one, and all known ones."""
    names = list(known)
    return PolymeraseError(
        f"unknown {what} {name!r}; did you mean {nearest_names(name, names)}? (all: {', '.join(names)})"
    )
