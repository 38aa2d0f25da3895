"""What may enter a corpus: letters, length, duplicates. Each policy counts what it drops, by reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from typing import Any

import numpy as np

from data_prep.alphabet import Alphabet, count_letters, protein_rows
from data_prep.dedup import SeenKeys
from data_prep.tally import Tally

PROTEIN = "letters_of_proteins"


@dataclass(frozen=True)
class Records:
    """R records on their way: ids, sequences as stored, optional columns (R,) each."""

    ids: Sequence[bytes]
    sequences: Sequence[bytes]
    columns: Mapping[str, Sequence[Any]]

    @cached_property
    def lengths(self) -> np.ndarray:
        """int64 (R,)"""
        return np.fromiter(map(len, self.sequences), np.int64, len(self.sequences))

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, mask: np.ndarray) -> "Records":
        """The records whose mask bool (R,) is True."""
        if mask.all():
            return self
        keep = mask.tolist()
        columns = {name: list(compress(values, keep)) for name, values in self.columns.items()}
        return Records(list(compress(self.ids, keep)), list(compress(self.sequences, keep)), columns)


@dataclass(frozen=True)
class LetterPolicy:
    """Records of nucleotides only, with ambiguity codes (N, R, Y, …) up to a fraction of the record.

    Records with letters that only proteins have are counted apart, under PROTEIN.
    """

    alphabet: Alphabet
    max_ambiguous: float

    def __call__(self, records: Records, tally: Tally) -> Records:
        ambiguous, foreign = count_letters(self.alphabet, records.sequences)
        odd = np.flatnonzero(foreign).tolist()
        proteins = len(protein_rows([records.sequences[row] for row in odd]))
        too_ambiguous = (foreign == 0) & (ambiguous > self.max_ambiguous * records.lengths)
        keep = (foreign == 0) & ~too_ambiguous
        tally.drop("letters", PROTEIN, proteins)
        tally.drop("letters", "letters_not_nucleotides", len(odd) - proteins)
        tally.drop("letters", "too_many_ambiguous_letters", int(too_ambiguous.sum()))
        tally.keep("letters", int(keep.sum()))
        return records.where(keep)


@dataclass(frozen=True)
class LengthPolicy:
    """Records of min_nt to max_nt; longer ones are dropped, cropped to their start, or cut into pieces.

    Pieces follow one another without overlap; their ids get `:first-last`, counted from 1.
    """

    min_nt: int
    max_nt: int | None
    long: str  # "drop" | "crop" | "pieces"

    def __call__(self, records: Records, tally: Tally) -> Records:
        if self.max_nt is not None and self.long != "drop" and (records.lengths > self.max_nt).any():
            shorten = self._crop if self.long == "crop" else self._cut
            records = shorten(records, self.max_nt, tally)
        too_short = records.lengths < self.min_nt
        too_long = records.lengths > self.max_nt if self.max_nt is not None else np.zeros(len(records), bool)
        keep = ~(too_short | too_long)
        tally.drop("length", "too_short", int(too_short.sum()))
        tally.drop("length", "too_long", int(too_long.sum()))
        tally.keep("length", int(keep.sum()))
        return records.where(keep)

    @staticmethod
    def _crop(records: Records, max_nt: int, tally: Tally) -> Records:
        tally.change("length", "cropped", sum(len(sequence) > max_nt for sequence in records.sequences))
        return replace(records, sequences=[sequence[:max_nt] for sequence in records.sequences])

    @staticmethod
    def _cut(records: Records, max_nt: int, tally: Tally) -> Records:
        ids, sequences, rows = [], [], []
        for row, (name, sequence) in enumerate(zip(records.ids, records.sequences, strict=True)):
            if len(sequence) <= max_nt:
                ids.append(name)
                sequences.append(sequence)
                rows.append(row)
                continue
            starts = range(0, len(sequence), max_nt)
            ids += [b"%s:%d-%d" % (name, start + 1, min(start + max_nt, len(sequence))) for start in starts]
            sequences += [sequence[start : start + max_nt] for start in starts]
            rows += [row] * len(starts)
            tally.change("length", "cut", 1)
        columns = {name: [values[row] for row in rows] for name, values in records.columns.items()}
        return Records(ids, sequences, columns)


def drop_duplicates(records: Records, keys: Sequence[bytes], seen: SeenKeys, tally: Tally) -> np.ndarray:
    """bool (R,): the first record of each sequence is kept."""
    first = seen.first_seen(keys)
    tally.drop("duplicates", "same_sequence", int((~first).sum()))
    tally.keep("duplicates", int(first.sum()))
    return first
