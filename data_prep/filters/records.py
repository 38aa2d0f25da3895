"""Filters of records: letters, length, duplicates. Each counts what it drops, by reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from typing import Any

import numpy as np

from data_prep.corpus.ragged import Ragged
from data_prep.corpus.tally import Tally
from data_prep.filters.dedup import SeenKeys
from data_prep.nucleotides import AMBIGUOUS, GAPS, Alphabet, count_ambiguous, count_foreign, protein_rows

PROTEIN = "letters_of_proteins"
GAPPED = "gaps_of_an_alignment"
STRUCTURED = "dot_bracket_below_the_sequence"
STRUCTURE = b"()[]{}<>.-+0123456789"  # with the energy behind it


@dataclass(frozen=True)
class RecordBatch:
    """R records on their way: ids, sequences as stored, optional columns (R,) each.

    soft_mask: 1 for letters that were lower case, else 0, beside those of the sequences; None: not asked for.
    """

    ids: Sequence[bytes]
    sequences: Ragged
    columns: Mapping[str, Sequence[Any]]
    soft_mask: Ragged | None = None

    @cached_property
    def lengths(self) -> np.ndarray:
        """Letters of each record, int64 (R,)."""
        return self.sequences.lengths

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, mask: np.ndarray) -> "RecordBatch":
        """Return the records whose mask bool (R,) is True."""
        if mask.all():
            return self
        keep = mask.tolist()
        columns = {name: list(compress(values, keep)) for name, values in self.columns.items()}
        soft_mask = None if self.soft_mask is None else self.soft_mask.where(mask)
        return RecordBatch(list(compress(self.ids, keep)), self.sequences.where(mask), columns, soft_mask)

    def sliced(self, starts: np.ndarray, stops: np.ndarray) -> "RecordBatch":
        """Return the records with only their letters [start, stop), indices into all letters, int64 (R,)."""
        parts = [
            None if part is None else Ragged.from_slices(part.values, starts, stops)
            for part in (self.sequences, self.soft_mask)
        ]
        assert parts[0] is not None
        return replace(self, sequences=parts[0], soft_mask=parts[1])


@dataclass(frozen=True)
class LetterFilter:
    """Records of nucleotides and ambiguity codes (N, R, Y, …) only.

    Counted apart: records with letters that only proteins have (PROTEIN), with gaps of an alignment (GAPPED), unless
    `gaps` is "remove": then gaps are taken out of the sequences first, with a structure in dot-bracket below the
    letters, as ViennaRNA writes it (STRUCTURED), and with the next header, of files joined without a line end.
    """

    alphabet: Alphabet
    gaps: str = "drop"  # or "remove"

    def __call__(self, records: RecordBatch, tally: Tally) -> RecordBatch:
        """Return the records of nucleotides, without gaps if they are removed; the others are counted by reason."""
        if self.gaps == "remove":
            records = self._without_gaps(records, tally)
        foreign = count_foreign(self.alphabet, records.sequences)
        if foreign is None:
            tally.keep("letters", len(records))
            return records
        rows = list(records.sequences.where(foreign > 0).rows())
        odd = [row for row in rows if b">" not in row]
        proteins = len(protein_rows(odd))
        known = self.alphabet.letters + AMBIGUOUS
        gapped = sum(not row.translate(None, known + GAPS) for row in odd)
        structured = sum(b"(" in row and not row.translate(None, known + STRUCTURE) for row in odd)
        tally.drop("letters", PROTEIN, proteins)
        tally.drop("letters", GAPPED, gapped)
        tally.drop("letters", STRUCTURED, structured)
        tally.drop("letters", "header_inside_a_line", len(rows) - len(odd))
        tally.drop("letters", "letters_not_nucleotides", len(odd) - proteins - gapped - structured)
        tally.keep("letters", len(records) - len(rows))
        return records.where(foreign == 0)

    @staticmethod
    def _without_gaps(records: RecordBatch, tally: Tally) -> RecordBatch:
        if not records.sequences.letter_counts[list(GAPS)].any():
            return records
        rows = [row.translate(None, GAPS) for row in records.sequences.rows()]
        sequences, soft_mask = Ragged.from_rows(rows), records.soft_mask
        if soft_mask is not None:
            soft_mask = Ragged(soft_mask.values[~np.isin(records.sequences.values, list(GAPS))], sequences.offsets)
        tally.change("letters", "gaps_removed", int((sequences.lengths < records.lengths).sum()))
        left = sequences.lengths > 0
        tally.drop("letters", "only_gaps", int((~left).sum()))
        return replace(records, sequences=sequences, soft_mask=soft_mask).where(left)


@dataclass(frozen=True)
class AmbiguityFilter:
    """Records with ambiguity codes up to a fraction of what will be stored: it comes after cropping and cutting."""

    alphabet: Alphabet
    max_ambiguous: float

    def __call__(self, records: RecordBatch, tally: Tally) -> RecordBatch:
        """Return the records with few enough ambiguity codes."""
        keep = count_ambiguous(self.alphabet, records.sequences) <= self.max_ambiguous * records.lengths
        tally.drop("ambiguity", "too_many_ambiguous_letters", int((~keep).sum()))
        tally.keep("ambiguity", int(keep.sum()))
        return records.where(keep)


@dataclass(frozen=True)
class LengthFilter:
    """Records of min_nt to max_nt; longer ones are dropped, cropped to their start, or cut into pieces.

    Pieces follow one another without overlap; their ids get `:first-last`, counted from 1.
    """

    min_nt: int
    max_nt: int | None
    long: str  # "drop" | "crop" | "pieces"

    def __call__(self, records: RecordBatch, tally: Tally) -> RecordBatch:
        """Return the records of allowed length, cropped or cut if asked for."""
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
    def _crop(records: RecordBatch, max_nt: int, tally: Tally) -> RecordBatch:
        tally.change("length", "cropped", int((records.lengths > max_nt).sum()))
        starts = records.sequences.offsets[:-1]
        return records.sliced(starts, starts + np.minimum(records.lengths, max_nt))

    @staticmethod
    def _cut(records: RecordBatch, max_nt: int, tally: Tally) -> RecordBatch:
        tally.change("length", "cut_into_pieces", int((records.lengths > max_nt).sum()))
        pieces = np.maximum(-(-records.lengths // max_nt), 1)
        tally.change("length", "pieces", int(pieces[pieces > 1].sum()))
        rows = np.repeat(np.arange(len(records)), pieces)
        first = (np.arange(len(rows)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) * max_nt
        last = np.minimum(first + max_nt, records.lengths[rows])
        starts = records.sequences.offsets[rows]
        cut = records.sliced(starts + first, starts + last)
        ids = [
            b"%s:%d-%d" % (records.ids[row], start + 1, stop) if pieces[row] > 1 else records.ids[row]
            for row, start, stop in zip(rows.tolist(), first.tolist(), last.tolist(), strict=True)
        ]
        columns = {name: [values[row] for row in rows.tolist()] for name, values in records.columns.items()}
        return replace(cut, ids=ids, columns=columns)


def drop_duplicates(records: RecordBatch, keys: Sequence[bytes], seen: SeenKeys, tally: Tally) -> np.ndarray:
    """Return the mask of records to keep, bool (R,): the first one of each sequence."""
    first = seen.first_seen(keys)
    tally.drop("duplicates", "same_sequence", int((~first).sum()))
    tally.keep("duplicates", int(first.sum()))
    return first
