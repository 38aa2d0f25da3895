"""Pairs of sequences that share a seed: each once, then aligned in batches, by processes if there are some."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.corpus.ragged import Ragged, offsets_of
from data_prep.errors import DataPrepError
from data_prep.filters.similarity.alignment import BATCH_CELLS, LONGEST_NT, Batch, align_batches, band_for
from data_prep.filters.similarity.relation import Relation
from data_prep.filters.similarity.seeds import UNKNOWN
from data_prep.filters.similarity.spool import SeedRuns
from data_prep.runtime.executor import Workers

COMPLEMENT = np.array([3, 2, 1, 0, UNKNOWN], np.uint8)
BATCHES_PER_TASK = 8


@dataclass(frozen=True)
class Pairs:
    """P pairs. shorter, longer int64 (P,): records; turned bool (P,): the longer one is taken on its other strand.

    place int64 (P,): where the seed lies in the shorter one; shift int64 (P,): what must be added to it to find the
    seed in the longer one, as turned.
    """

    shorter: np.ndarray
    longer: np.ndarray
    turned: np.ndarray
    place: np.ndarray
    shift: np.ndarray

    def __len__(self) -> int:
        return len(self.shorter)

    def where(self, chosen: np.ndarray) -> "Pairs":
        """Some of them, by mask or number."""
        return Pairs(*(values[chosen] for values in vars(self).values()))

    @classmethod
    def joined(cls, parts: list["Pairs"]) -> "Pairs":
        """All of several."""
        return cls(*(np.concatenate(values) for values in zip(*(vars(part).values() for part in parts), strict=True)))

    @classmethod
    def of_seeds(cls, runs: SeedRuns, one: np.ndarray, other: np.ndarray, span: int, lengths: np.ndarray) -> "Pairs":
        """Seeds `one` and `other` int64 (P,) of the same words; lengths int64 (S,) of all records."""
        swap = lengths[runs.record[one]] > lengths[runs.record[other]]
        one, other = np.where(swap, other, one), np.where(swap, one, other)
        turned = runs.turned[one] != runs.turned[other]
        longer, place = runs.record[other], runs.place[one]
        opposite = np.where(turned, lengths[longer] - span - runs.place[other], runs.place[other])
        return cls(runs.record[one], longer, turned, place, opposite - place)

    def distinct(self, records: int) -> "Pairs":
        """Each pair and orientation once, with the seed whose shift is in the middle of all of its shifts."""
        pair = (self.shorter * records + self.longer) * 2 + self.turned
        order = np.lexsort((self.shift, pair))
        pair = pair[order]
        first = np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]])) if len(pair) else np.empty(0, np.int64)
        count = np.diff(np.append(first, len(pair)))
        return self.where(order[first + (count - 1) // 2])


def identities(pairs: Pairs, codes: Ragged, letters: int, relation: Relation, workers: Workers | None) -> np.ndarray:
    """float64 (P,): the identity of each pair, 0 where it is no relation; letters: of all that are compared."""
    aligned_nt = np.minimum(codes.lengths[pairs.shorter], LONGEST_NT)
    order = np.argsort(aligned_nt, kind="stable")
    found = np.empty(len(pairs), np.float64)
    chosen = list(_batches_of_rows(order, aligned_nt, relation))
    tasks = [chosen[start : start + BATCHES_PER_TASK] for start in range(0, len(chosen), BATCHES_PER_TASK)]
    work = ([_batch(pairs.where(rows), codes, relation) for rows in task] for task in tasks)
    done = workers.map_chunks(align_batches, work) if workers else enumerate(map(align_batches, work))
    for number, results in done:
        for rows, result in zip(tasks[number], results, strict=True):
            if result is None:
                raise DataPrepError("--executor: a process died while it aligned sequences; give it more memory")
            found[rows] = relation.identities(result, aligned_nt[rows], letters)
    return found


def _batches_of_rows(order: np.ndarray, aligned_nt: np.ndarray, relation: Relation) -> Iterator[np.ndarray]:
    """Pairs of about the same length together."""
    ordered, first = aligned_nt[order], 0
    while first < len(order):
        nt = int(ordered[first])
        size = max(1, BATCH_CELLS // (band_for(relation.identity, nt) + 1))
        alike = int(np.searchsorted(ordered[first : first + size], nt + nt // 8 + 8, side="right"))
        yield order[first : first + alike]
        first += alike


def _batch(pairs: Pairs, codes: Ragged, relation: Relation) -> Batch:
    """The letters of the pairs. Of sequences too long to be aligned whole, those around the seed."""
    lengths = codes.lengths
    ours_nt = lengths[pairs.shorter]
    aligned_nt = np.minimum(ours_nt, LONGEST_NT)
    skipped = np.clip(pairs.place - LONGEST_NT // 2, 0, ours_nt - aligned_nt)
    longest = int(aligned_nt.max())
    band = band_for(relation.identity, longest)
    starts = codes.offsets[pairs.shorter] + skipped
    row = np.repeat(np.arange(len(pairs)), aligned_nt)
    offsets = offsets_of(aligned_nt)
    shorter = Ragged(codes.values[np.arange(offsets[-1]) - offsets[row] + starts[row]], offsets)
    theirs_nt = lengths[pairs.longer][:, None]
    at = np.arange(-band, longest + band) + (skipped + pairs.shift)[:, None]
    inside = (at >= 0) & (at < theirs_nt)
    at = np.where(pairs.turned[:, None], theirs_nt - 1 - at, at)
    letters = codes.values[np.where(inside, at + codes.offsets[pairs.longer][:, None], 0)]
    letters = np.where(pairs.turned[:, None], COMPLEMENT[letters], letters)
    return Batch(shorter, np.where(inside, letters, np.uint8(UNKNOWN)), band)
