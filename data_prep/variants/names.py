"""Contig names in messages."""

from collections.abc import Collection
from itertools import islice

SHOWN = 5


def some_names(names: Collection[str]) -> str:
    """The first few, for a message of one line."""
    return ", ".join([*islice(names, SHOWN), *(["…"] if len(names) > SHOWN else [])])
