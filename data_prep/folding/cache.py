"""Folds that were computed before, in one SQLite file: nothing is folded twice, not even after a kill."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.errors import DataPrepError
from data_prep.folding.vienna import Fold

SCHEMA = "CREATE TABLE IF NOT EXISTS fold (key BLOB PRIMARY KEY, mfe INTEGER, structure TEXT) WITHOUT ROWID"


class FoldCache:
    """key: SHA-256 of parameters and normalized sequence. Use as a context manager.

    path: None for a cache that lives as long as the process.
    """

    def __init__(self, path: Path | None, parameters: dict[str, Any]):
        self._prefix = json.dumps(parameters, sort_keys=True).encode() + b"\n"
        self._path = path
        with self._as_one_line():
            self._database = sqlite3.connect(path or ":memory:", timeout=60)
            self._database.execute(SCHEMA)

    def __enter__(self) -> "FoldCache":
        return self

    def __exit__(self, *error: Any) -> None:
        self._database.close()

    def get(self, sequences: Sequence[bytes]) -> list[Fold | None]:
        """(S,) known folds, None where there is none."""
        query = "SELECT mfe, structure FROM fold WHERE key = ?"
        with self._as_one_line():
            rows = [self._database.execute(query, (self._key(sequence),)).fetchone() for sequence in sequences]
        return [Fold(*row) if row else None for row in rows]

    def put(self, sequences: Sequence[bytes], folds: Sequence[Fold | None]) -> None:
        """Remember folds (S,); None is not remembered. One transaction."""
        rows = [(self._key(sequence), *fold) for sequence, fold in zip(sequences, folds, strict=True) if fold]
        with self._as_one_line(), self._database:
            self._database.executemany("INSERT OR IGNORE INTO fold VALUES (?, ?, ?)", rows)

    @contextmanager
    def _as_one_line(self) -> Iterator[None]:
        """A file that is damaged, read-only, of another program, or on a full disk is named."""
        try:
            yield
        except sqlite3.Error as error:
            raise DataPrepError(
                f"{self._path}: cannot be used as fold cache ({error}); give another --cache or 'none'"
            ) from None

    def _key(self, sequence: bytes) -> bytes:
        return hashlib.sha256(self._prefix + sequence).digest()
