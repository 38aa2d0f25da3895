"""RNA types by id, from a table beside the FASTA: tens of millions of ids in a few hundred MB."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.errors import DataPrepError, shown, shown_name
from data_prep.filters.dedup import sequence_keys
from data_prep.formats.text import numbered_lines
from data_prep.rnacentral.types import normalized_type
from data_prep.runtime.console import progress

URS = re.compile(rb"URS([0-9A-F]{10})(?:[_/](\d{1,8}))?")
TAXON = re.compile(rb"\d{1,8}")
TAXON_BITS = 24  # taxa of NCBI have at most 8 digits and are below 2^24
MOST_TYPES = 256
ROWS_IN_MEMORY = 1 << 18  # rows whose votes are counted together


class TypeTable:
    """Types by id from a table, 13 bytes per id and type in memory.

    Two columns (id, type), or RNAcentral's `id_mapping.tsv` (taxon in the fourth column, type in the fifth), in any
    order. A type belongs to an id of its species: `URS…_9606` has what rows of taxon 9606 say, and is not given the
    type of another species. An id without taxon (active export) has what most rows of its sequence say. Where rows
    differ the type of most of them counts (equally many: the first in the alphabet).
    """

    def __init__(self, path: str | Path):
        self.path = str(path)
        self._names: list[str] = []
        votes = _read_table(path, self._names)
        is_urs = votes.kinds == _URS
        of_urs = votes.where(is_urs)
        self._by_taxon = of_urs.winners(self._names)
        sequences = replace(of_urs, keys=of_urs.keys >> np.uint64(TAXON_BITS))
        self._by_sequence = sequences.added_up().winners(self._names)
        self._by_name = votes.where(~is_urs).winners(self._names)
        self._asked: bytes | None = None  # the last id that was looked up
        self._found = 0

    def look_up(self, ids: Sequence[bytes]) -> list[str | None]:
        """Types of ids (S,)."""
        parsed = [URS.fullmatch(identifier) for identifier in ids]
        urs = np.array([int(found[1], 16) if found else 0 for found in parsed], np.uint64)
        taxa = np.array([int(found[2] or 0) if found else 0 for found in parsed], np.uint64)
        with_taxon = self._by_taxon.look_up((urs << np.uint64(TAXON_BITS)) | taxa)
        untold = self._by_taxon.look_up(urs << np.uint64(TAXON_BITS))  # a row that names no taxon holds for all
        of_sequence = self._by_sequence.look_up(urs)
        named = self._by_name.look_up(_hashed(ids))
        codes = np.where(taxa > 0, np.where(with_taxon >= 0, with_taxon, untold), of_sequence)
        codes = np.where(np.array([found is None for found in parsed], bool), named, codes)
        self._asked = ids[-1] if len(ids) else self._asked
        self._found += int((codes >= 0).sum())
        return [self._names[code] if code >= 0 else None for code in codes.tolist()]

    def refuse_no_match(self, file: str) -> None:
        """DataPrepError if ids were looked up and none was in the table."""
        if self._asked is not None and not self._found:
            raise DataPrepError(
                f"{self.path}: none of its {len(self._by_taxon.keys) + len(self._by_name.keys):,} ids is in {file}, "
                f"where the last one is {shown_name(self._asked)}; take the table of the same release"
            )


_URS, _NAME = 0, 1


@dataclass(frozen=True)
class _Types:
    """Sorted keys uint64 (R,) and the number of the type of each, int16 (R,)."""

    keys: np.ndarray
    codes: np.ndarray

    def look_up(self, keys: np.ndarray) -> np.ndarray:
        """Numbers of types (S,), -1 where a key has none."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int16)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.codes[at], np.int16(-1))


@dataclass(frozen=True)
class _Votes:
    """How many rows (counts) give an id (kind and key) a type (code); all (R,)."""

    kinds: np.ndarray
    keys: np.ndarray
    codes: np.ndarray
    counts: np.ndarray

    def where(self, mask: np.ndarray) -> "_Votes":
        return _Votes(self.kinds[mask], self.keys[mask], self.codes[mask], self.counts[mask])

    def added_up(self) -> "_Votes":
        """One row for each id and type, sorted."""
        order = np.lexsort((self.codes, self.keys, self.kinds))
        kinds, keys, codes = self.kinds[order], self.keys[order], self.codes[order]
        first = np.ones(len(keys), bool)
        first[1:] = (keys[1:] != keys[:-1]) | (codes[1:] != codes[:-1]) | (kinds[1:] != kinds[:-1])
        starts = np.flatnonzero(first)
        counts = np.add.reduceat(self.counts[order], starts) if len(starts) else self.counts[:0]
        return _Votes(kinds[starts], keys[starts], codes[starts], counts)

    def winners(self, names: Sequence[str]) -> _Types:
        """The type of most rows of each key, for votes of one kind."""
        rank = np.empty(max(len(names), 1), np.int64)
        rank[np.argsort(np.array(names or [""]), kind="stable")] = np.arange(len(rank))
        order = np.lexsort((rank[self.codes], -self.counts.astype(np.int64), self.keys))
        keys, codes = self.keys[order], self.codes[order]
        first = np.ones(len(keys), bool)
        first[1:] = keys[1:] != keys[:-1]
        return _Types(keys[first], codes[first].astype(np.int16))


def _read_table(path: str | Path, names: list[str]) -> _Votes:
    """All votes of the table; the names of types are appended."""
    numbers: dict[bytes, int] = {}
    gathered, waiting = _empty(), list[_Votes]()
    for votes in _blocks(path):
        for kind in dict.fromkeys(kind for _, _, kind in votes):
            if kind not in numbers:
                numbers[kind] = _number(kind, names, path)
        waiting.append(_counted(votes, numbers))
        if sum(len(some.keys) for some in waiting) > max(len(gathered.keys), ROWS_IN_MEMORY):
            gathered, waiting = _joined([gathered, *waiting]), []
    gathered = _joined([gathered, *waiting])
    if not len(gathered.keys):
        raise DataPrepError(f"{path}: no row with an id and a type")
    return gathered


def _blocks(path: str | Path) -> Iterator[dict[tuple[bytes, bytes, bytes], int]]:
    """Votes by (id, taxon or empty, type) of consecutive parts of the table."""
    votes: dict[tuple[bytes, bytes, bytes], int] = {}
    for number, line in progress(numbered_lines(path), description=str(path), unit=" lines"):
        if not line.strip():
            continue
        columns = line.rstrip(b"\r\n").split(b"\t")
        if len(columns) != 2 and len(columns) < 5:
            raise DataPrepError(
                f"{path} line {number}: {len(columns)} tab-separated columns; expected id and type, "
                "or RNAcentral's id_mapping.tsv (taxon in the fourth column, type in the fifth)"
            )
        row = (columns[0], b"", columns[1]) if len(columns) == 2 else (columns[0], columns[3], columns[4])
        if not row[2].strip():
            continue
        votes[row] = votes.get(row, 0) + 1
        if len(votes) >= ROWS_IN_MEMORY:
            yield votes
            votes = {}
    yield votes


def _counted(votes: dict[tuple[bytes, bytes, bytes], int], numbers: dict[bytes, int]) -> _Votes:
    parsed = [URS.fullmatch(identifier) for identifier, _, _ in votes]
    is_urs = np.array([found is not None for found in parsed], bool)
    taxa = [(found[2] if found else None) or taxon for found, (_, taxon, _) in zip(parsed, votes, strict=True)]
    keys = np.array(
        [
            (int(found[1], 16) << TAXON_BITS) | (int(taxon) if TAXON.fullmatch(taxon) else 0) if found else 0
            for found, taxon in zip(parsed, taxa, strict=True)
        ],
        np.uint64,
    )
    return _Votes(
        kinds=np.where(is_urs, _URS, _NAME).astype(np.uint8),
        keys=np.where(is_urs, keys, _hashed([identifier for identifier, _, _ in votes])),
        codes=np.array([numbers[kind] for _, _, kind in votes], np.uint8),
        counts=np.array(list(votes.values()), np.uint32),
    ).added_up()


def _joined(parts: Sequence[_Votes]) -> _Votes:
    fields = ("kinds", "keys", "codes", "counts")
    return _Votes(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields)).added_up()


def _empty() -> _Votes:
    return _Votes(np.empty(0, np.uint8), np.empty(0, np.uint64), np.empty(0, np.uint8), np.empty(0, np.uint32))


def _number(kind: bytes, names: list[str], path: str | Path) -> int:
    """The number of a type; types that differ in underscores only are one."""
    name = normalized_type(kind.decode("utf-8", "replace"))
    if name in names:
        return names.index(name)
    if len(names) == MOST_TYPES:
        raise DataPrepError(
            f"{path}: more than {MOST_TYPES} types, the last is {shown(kind)}; is the type in its column?"
        )
    names.append(name)
    return len(names) - 1


def _hashed(ids: Sequence[bytes]) -> np.ndarray:
    """uint64 (S,): with 35 M ids two of them collide with probability 3e-5."""
    return np.frombuffer(b"".join(sequence_keys(ids)), np.uint64)[::2]
