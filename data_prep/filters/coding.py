"""Coding sequences: whole codons from the first letter on, and no stop before the last one."""

from dataclasses import dataclass

import numpy as np

from data_prep.corpus.ragged import Ragged
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError, shown_name
from data_prep.filters.records import RecordBatch

STOPS = (b"TAA", b"TAG", b"TGA")


@dataclass(frozen=True)
class CodingFilter:
    """Records that are out of frame are an error, dropped, or (`crop`) lose their last one or two letters.

    A stop codon inside is an error, or the record is dropped and counted: letters at its end would not mend it.
    """

    policy: str  # "error" | "drop" | "crop"
    place: str  # how an error calls the input

    def __call__(self, records: RecordBatch, tally: Tally) -> RecordBatch:
        """Return records of whole codons without a stop inside; others are counted, or an error, by `policy`."""
        partial = records.lengths % 3 != 0
        if partial.any() and self.policy == "error":
            row = int(np.argmax(partial))
            self._refuse(
                records, row, f"{records.lengths[row]} nt are not a whole number of codons", int(partial.sum())
            )
        if self.policy == "crop":
            tally.change("codons", "partial_codon_cropped", int(partial.sum()))
            starts = records.sequences.offsets[:-1]
            records = records.sliced(starts, starts + records.lengths - records.lengths % 3)
            partial = records.lengths == 0
        stopped = self._stop_inside(records.sequences)
        if stopped.any() and self.policy == "error":
            self._refuse(records, int(np.argmax(stopped)), "has a stop codon before its last codon", int(stopped.sum()))
        keep = ~partial & ~stopped
        tally.drop("codons", "partial_codon", int(partial.sum()))
        tally.drop("codons", "stop_codon_inside", int((stopped & ~partial).sum()))
        tally.keep("codons", int(keep.sum()))
        return records.where(keep)

    def _refuse(self, records: RecordBatch, row: int, what: str, count: int) -> None:
        raise DataPrepError(
            f"{self.place}: record {shown_name(records.ids[row])}: {what} ({count:,} such records of those read "
            "together); fix them, or give --codons drop or --codons crop"
        )

    @staticmethod
    def _stop_inside(sequences: Ragged) -> np.ndarray:
        """Whether a stop codon in frame comes before the end, bool (R,)."""
        letters = np.where(sequences.values == ord("U"), ord("T"), sequences.values)
        if len(letters) < 3:
            return np.zeros(len(sequences), bool)
        first, second, third = letters[:-2], letters[1:-1], letters[2:]
        is_stop = np.zeros(len(first), bool)
        for stop in STOPS:
            is_stop |= (first == stop[0]) & (second == stop[1]) & (third == stop[2])
        at = np.flatnonzero(is_stop)
        row = np.searchsorted(sequences.offsets, at, side="right") - 1
        within = at - sequences.offsets[row]
        inside = (within % 3 == 0) & (within + 6 <= sequences.lengths[row])
        return np.bincount(row[inside], minlength=len(sequences)) > 0
