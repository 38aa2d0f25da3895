"""RNA types by id, from a table beside the FASTA: tens of millions of ids in a few hundred MB."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.errors import DataPrepError
from data_prep.filters.dedup import sequence_keys
from data_prep.formats.text import numbered_lines
from data_prep.rnacentral.types import normalised_type


class TypeTable:
    """Types by id from a table, 9 bytes an id in memory.

    Two columns (id, type), or RNAcentral's `id_mapping.tsv` (type in the fifth), plain or compressed. Rows of one id
    stand together; the type that most of them give counts (equally many: the first in the alphabet).
    """

    def __init__(self, path: str | Path):
        self._names: list[str] = []
        keys, codes = _read_table(path, self._names)
        order = np.argsort(keys, kind="stable")
        self._keys, self._codes = keys[order], codes[order]

    def look_up(self, ids: Sequence[bytes]) -> list[str | None]:
        """Types of ids (S,); `URS…_9606` is looked up as it is, then as `URS…`."""
        found = self._find(ids)
        bare = [identifier.partition(b"_")[0] for identifier in ids]
        return [first or second for first, second in zip(found, self._find(bare), strict=True)]

    def _find(self, ids: Sequence[bytes]) -> list[str | None]:
        keys = _keys(ids)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        hits = self._keys[at] == keys
        return [
            self._names[code] if hit else None
            for code, hit in zip(self._codes[at].tolist(), hits.tolist(), strict=True)
        ]


def _read_table(path: str | Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Keys uint64 (R,) and numbers of type names uint8 (R,), one row per run of one id; names are appended."""
    numbers: dict[bytes, int] = {}
    keys, codes = [np.empty(0, np.uint64)], [np.empty(0, np.uint8)]
    ids: list[bytes] = []
    chosen: list[int] = []

    def flush() -> None:
        keys.append(_keys(ids))
        codes.append(np.array(chosen, np.uint8))
        ids.clear()
        chosen.clear()

    current, votes = b"", dict[bytes, int]()
    for number, line in numbered_lines(path):
        columns = line.rstrip(b"\r\n").split(b"\t")
        if not line.strip():
            continue
        if len(columns) != 2 and len(columns) < 5:
            raise DataPrepError(
                f"{path} line {number}: {len(columns)} tab-separated columns; expected id and type, "
                "or RNAcentral's id_mapping.tsv (type in the fifth column)"
            )
        kind = columns[1 if len(columns) == 2 else 4]
        if columns[0] != current:
            if votes:
                ids.append(current)
                chosen.append(_winner(votes, numbers, names, path))
            current, votes = columns[0], {}
            if len(ids) >= 1 << 20:
                flush()
        votes[kind] = votes.get(kind, 0) + 1
    if not votes:
        raise DataPrepError(f"{path}: no row with an id and a type")
    ids.append(current)
    chosen.append(_winner(votes, numbers, names, path))
    flush()
    return np.concatenate(keys), np.concatenate(codes)


def _winner(votes: dict[bytes, int], numbers: dict[bytes, int], names: list[str], path: str | Path) -> int:
    kind = min(votes, key=lambda name: (-votes[name], name))
    if kind not in numbers:
        if len(names) == 256:
            raise DataPrepError(f"{path}: more than 256 types; is the second column the type?")
        numbers[kind] = len(names)
        names.append(normalised_type(kind.decode("utf-8", "replace")))
    return numbers[kind]


def _keys(ids: Sequence[bytes]) -> np.ndarray:
    """uint64 (S,): with 35 M ids two of them collide with probability 3e-5."""
    return np.frombuffer(b"".join(sequence_keys(ids)), np.uint64)[::2]
