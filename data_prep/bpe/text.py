"""The sequences of a corpus as text, one after another, the same ones on every iteration."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from data_prep.corpus import Corpus, Ragged
from data_prep.corpus.genome import GenomeTable

BATCH = 1024
LETTERS = np.frombuffer(b"ACGTN", np.uint8)


@dataclass(frozen=True)
class Text:
    """The training split of a corpus of sequences, or of genomes in pieces.

    piece: nucleotides of a piece of a genome. at_most: sequences, evenly spaced; None: all.
    """

    corpus: Corpus
    piece: int
    at_most: int | None

    def __iter__(self) -> Iterator[str]:
        rows = self._rows
        for start in range(0, len(rows), BATCH):
            for row in self._read(rows[start : start + BATCH]).rows():
                yield row.decode("ascii", "replace")

    @property
    def sequences(self) -> int:
        """How many there are."""
        return len(self._rows)

    @property
    def nucleotides(self) -> int:
        """Letters of all of them."""
        if isinstance(self._table, GenomeTable):
            return len(self._rows) * self.piece
        return int(self._table.lengths[self._rows].sum(dtype=np.int64))

    @cached_property
    def _table(self) -> Any:
        return self.corpus.split("train")

    @cached_property
    def _rows(self) -> np.ndarray:
        total = int(self._pieces[-1]) if isinstance(self._table, GenomeTable) else len(self._table)
        if self.at_most is None or self.at_most >= total:
            return np.arange(total)
        return np.arange(self.at_most) * total // self.at_most

    @cached_property
    def _pieces(self) -> np.ndarray:
        """Whole pieces before the end of each interval, int64 (K,)."""
        intervals = self._table.intervals
        return np.cumsum((intervals[:, 2] - intervals[:, 1]) // self.piece)

    def _read(self, rows: np.ndarray) -> Ragged:
        table = self._table
        if not isinstance(table, GenomeTable):
            return table.gather(rows)
        ends = self._pieces
        interval = np.searchsorted(ends, rows, side="right")
        within = rows - np.concatenate(([0], ends))[interval]
        contig, start, _ = table.intervals[interval].T
        pieces = table.read(contig, start + within * self.piece, np.full(len(rows), self.piece, np.int64))
        return Ragged(LETTERS[pieces.codes.values], pieces.codes.offsets)
