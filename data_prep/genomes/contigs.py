"""Which contigs of an assembly are kept, and what lies where in them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data_prep.corpus.spans import runs
from data_prep.formats.contig_names import some_names
from data_prep.formats.genome import Contig

PIECE = 1 << 24  # letters looked at together
FIRST_NAMES = 5


@dataclass(frozen=True)
class ContigFilter:
    """Contigs by name, length and share of N.

    wanted, unwanted: tell by the name of a contig. shortest: bases. most_n: share.
    """

    wanted: Callable[[str], bool]
    unwanted: Callable[[str], bool]
    shortest: int
    most_n: float

    def refuses_name(self, name: str) -> str | None:
        """Why the contig is left out, by its name alone."""
        if self.unwanted(name):
            return "contig_excluded"
        return None if self.wanted(name) else "contig_not_chosen"

    def refuses(self, contig: Contig) -> str | None:
        """Why the contig is left out, by what is in it."""
        if len(contig.sequence) < self.shortest:
            return "contig_too_short"
        unknown = contig.sequence.count(b"N") + contig.sequence.count(b"n")
        return "contig_with_too_many_n" if unknown > self.most_n * len(contig.sequence) else None


@dataclass
class Dropped:
    """Contigs that are not in the corpus, by reason: their names and bases."""

    names: dict[str, list[str]] = field(default_factory=dict)
    bases: dict[str, int] = field(default_factory=dict)

    def add(self, reason: str, name: str, bases: int) -> None:
        """Count one contig; bases 0 where its letters were not read."""
        self.names.setdefault(reason, []).append(name)
        self.bases[reason] = self.bases.get(reason, 0) + bases

    def facts(self) -> dict[str, dict[str, Any]]:
        """For the manifest: contigs, bases and the first names by reason."""
        return {
            reason: {"contigs": len(names), "bases": self.bases[reason], "first_names": names[:FIRST_NAMES]}
            for reason, names in self.names.items()
        }

    def sentences(self) -> Iterator[str]:
        """One line per reason, for people."""
        for reason, names in self.names.items():
            bases = f" ({self.bases[reason]:,} bases)" if self.bases[reason] else ""
            yield f"dropped {len(names):,} contigs{bases}, {reason.replace('_', ' ')}: {some_names(names)}"


def stretches(letters: bytes | np.ndarray, low: int, high: int) -> np.ndarray:
    """Where bytes lie in [low, high]: int64 (K, 2) of starts and ends. A piece at a time, so memory stays small."""
    values = np.frombuffer(letters, np.uint8) if isinstance(letters, bytes) else letters
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(values), PIECE):
        piece = values[start : start + PIECE]
        found.append(runs((piece >= low) & (piece <= high)) + start)
    return joined(np.concatenate(found))


def joined(intervals: np.ndarray) -> np.ndarray:
    """Ascending intervals int64 (K, 2) with those merged that touch or overlap."""
    if len(intervals) < 2:
        return intervals
    reach = np.maximum.accumulate(intervals[:, 1])
    begins = np.append(True, intervals[1:, 0] > reach[:-1])
    ends = np.append(np.flatnonzero(begins)[1:] - 1, len(intervals) - 1)
    return np.stack((intervals[begins, 0], reach[ends]), 1)
