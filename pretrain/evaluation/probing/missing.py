"""Labels that are missing: left out, counted, and named by their rows."""

from __future__ import annotations

from collections.abc import Mapping

from data_prep.errors import shown, shown_name

_MISSING = frozenset({"", "nan", "na", "n/a", "<na>", "null"})  # in any case: how missing values are written
_NAMED = 5


def is_missing(label: str) -> bool:
    """Whether a label says that there is none."""
    return label.strip().lower() in _MISSING


def name_rows(missing: Mapping[str, str]) -> str:
    """Name the first rows without a label, and what stands there.

    Args:
        missing: Name of a row -> its label as it is written.
    """
    named = [
        f"{shown_name(row)} ({shown(label) if label else 'empty'})" for row, label in list(missing.items())[:_NAMED]
    ]
    more = [f"{len(missing) - _NAMED:,} more"] if len(missing) > _NAMED else []
    return ", ".join(named + more)
