"""All seeds of a set of sequences, gathered by word: on the disk, so that memory does not grow with them."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.corpus.ragged import Ragged
from data_prep.filters.similarity.seeds import FEW_LETTERS, seed_blocks, window_for

WORD_BITS = 32
MANY_PARTS_BITS = 8  # 256 files


@dataclass(frozen=True)
class SeedRuns:
    """n seeds whose word occurs at least twice, equal words side by side, each run in the order of the sequences.

    record int64 (n,), place int64 (n,) in the record, turned bool (n,): the word of the other strand.
    run int64 (n,): number of the run; first int64 (runs,), count int64 (runs,): where each one lies.
    """

    record: np.ndarray
    place: np.ndarray
    turned: np.ndarray
    run: np.ndarray
    first: np.ndarray
    count: np.ndarray


class SeedSpool:
    """Files of seeds, each with the words of one range, 8 bytes a seed."""

    def __init__(self, folder: Path, codes: Ragged, pattern: np.ndarray, both_strands: bool, kept: np.ndarray):
        """Write the seeds of the sequences marked in `kept`, bool (S,)."""
        self.span = int(pattern[-1]) + 1
        self._codes = codes
        self._bits = 0 if len(codes.values) <= FEW_LETTERS else MANY_PARTS_BITS
        self._files = [folder / f"seeds-{part:03d}" for part in range(1 << self._bits)]
        letters = int(codes.lengths[kept].sum())
        with ExitStack() as stack:
            files = [stack.enter_context(open(path, "wb")) for path in self._files]
            for found, places in seed_blocks(codes, pattern, both_strands, window_for(letters)):
                if not kept.all():
                    of_kept = kept[np.searchsorted(codes.offsets, places >> 1, side="right") - 1]
                    found, places = found[of_kept], places[of_kept]
                # The top bits of the word name the file; the shift drops them.
                keys = (found.astype(np.uint64) << np.uint64(WORD_BITS + self._bits)) | places.astype(np.uint64)
                if not self._bits:
                    keys.tofile(files[0])
                    continue
                part = (found >> np.uint32(WORD_BITS - self._bits)).astype(np.uint8)
                keys = keys[np.argsort(part, kind="stable")]
                stops = np.cumsum(np.bincount(part, minlength=len(files))).tolist()
                for file, start, stop in zip(files, [0, *stops[:-1]], stops, strict=True):
                    file.write(keys[start:stop].data)

    def runs(self) -> Iterator[SeedRuns]:
        """Yield the seeds, a part at a time."""
        for path in self._files:
            keys = np.fromfile(path, np.uint64)
            keys.sort()
            word = keys >> np.uint64(WORD_BITS + self._bits)
            same = word[1:] == word[:-1]
            shared = np.zeros(len(keys), bool)
            shared[1:] |= same
            shared[:-1] |= same
            keys, word = keys[shared], word[shared]
            if not len(keys):
                continue
            place = (keys & np.uint64((1 << (WORD_BITS + self._bits)) - 1)).astype(np.int64)
            begins = np.concatenate([[True], word[1:] != word[:-1]])
            first = np.flatnonzero(begins)
            record = np.searchsorted(self._codes.offsets, place >> 1, side="right") - 1
            yield SeedRuns(
                record=record,
                place=(place >> 1) - self._codes.offsets[record],
                turned=(place & 1).astype(bool),
                run=np.cumsum(begins) - 1,
                first=first,
                count=np.diff(np.append(first, len(keys))),
            )

    def remove(self) -> None:
        """Delete the files."""
        for path in self._files:
            path.unlink()
