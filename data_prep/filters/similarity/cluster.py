"""Clusters: the sequences that chains of relatives join.

Found with seeds (`seeds.py`), told by alignments (`alignment.py`). Of the sequences that share a word, each is compared
with the longest and with some of its neighbors, so that work grows with the number of seeds and not with its square;
pairs that are joined already are not aligned. Relatives without a common word of either pattern, or with more gaps
than the band is wide, are not seen. What is found is joined whatever the order: the clusters are a function of the
sequences and the relation alone.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from xxhash import xxh3_64_intdigest

from data_prep.corpus.ragged import Ragged
from data_prep.filters.similarity.pairs import COMPLEMENT, Pairs, identities
from data_prep.filters.similarity.relation import Relation
from data_prep.filters.similarity.seeds import CODES, patterns_for
from data_prep.filters.similarity.spool import SeedRuns, SeedSpool
from data_prep.runtime.console import progress
from data_prep.runtime.executor import Workers

NEIGHBORS = (1, 2, 3, 4, 6, 8, 12, 16)  # how far from each other, in the run of a word
# Runs and the lengths of all records -> seeds that make pairs, twice int64 (P,).
Partners = Callable[[SeedRuns, np.ndarray], tuple[np.ndarray, np.ndarray]]
MOST_PAIRS = 1 << 21  # gathered before they are aligned, about 100 MB
BLOCK_ROWS = 1 << 16


def clusters(sequences: Ragged, relation: Relation | None = None, *, workers: Workers | None = None) -> np.ndarray:
    """Number of the first sequence of its cluster, int64 (S,), of letters in memory; see `clusters_of_codes`."""
    return clusters_of_codes(to_codes(sequences), relation or Relation(), workers=workers)


def clusters_of_codes(
    codes: Ragged, relation: Relation, *, workers: Workers | None = None, scratch: Path | None = None
) -> np.ndarray:
    """Number of the first sequence of its cluster, for each of S sequences.

    Args:
        codes: what `to_codes` makes of letters; may be a memory map, so that they need not fit into memory.
        relation: when two are relatives.
        workers: processes that align; the result does not depend on them.
        scratch: folder for temporary files, at most 16 bytes a letter.

    Returns:
        int64 (S,)
    """
    label = _first_of_equals(codes, relation.both_strands)
    kept = label == np.arange(len(label))
    letters = int(codes.lengths[kept].sum())
    with TemporaryDirectory(dir=scratch) as folder:
        for number, pattern in enumerate(patterns_for(letters)):
            spool = SeedSpool(Path(folder), codes, pattern, relation.both_strands, kept)
            for partners in progress(PARTNERS, description=f"relatives, pattern {number + 1}", unit=" rounds"):
                for pairs in _gathered(spool, codes, label, partners):
                    related = relation.holds(identities(pairs, codes, letters, relation, workers))
                    unite(label, pairs.shorter[related], pairs.longer[related])
            spool.remove()
    return label


def to_codes(sequences: Ragged) -> Ragged:
    """Letters A, C, G, T or U, in any case, as 0 to 3; all others as UNKNOWN, which equals nothing."""
    return Ragged(CODES[sequences.values], sequences.offsets)


def unite(label: np.ndarray, one: np.ndarray, other: np.ndarray) -> None:
    """Join the clusters of pairs (P,) in `label` (S,), where each sequence has the smallest number of its cluster."""
    while len(one):
        low, high = np.minimum(label[one], label[other]), np.maximum(label[one], label[other])
        apart = low < high
        one, other = one[apart], other[apart]
        np.minimum.at(label, high[apart], low[apart])
        while (label[label] != label).any():
            label[:] = label[label]


def sequence_hashes(codes: Ragged, both_strands: bool) -> np.ndarray:
    """uint64 (S,): of the letters; of a sequence and its reverse complement the same, if both strands count."""
    found = np.empty(len(codes), np.uint64)
    for first in range(0, len(codes), BLOCK_ROWS):
        part = codes.part(first, min(first + BLOCK_ROWS, len(codes)))
        own = np.fromiter(map(xxh3_64_intdigest, part.slices()), np.uint64, len(part))
        if both_strands:
            turned = Ragged(COMPLEMENT[part.values[::-1]], part.offsets[-1] - part.offsets[::-1])
            other = np.fromiter(map(xxh3_64_intdigest, turned.slices()), np.uint64, len(part))
            own = np.minimum(own, other[::-1])
        found[first : first + len(part)] = own
    return found


def _first_of_equals(codes: Ragged, both_strands: bool) -> np.ndarray:
    """int64 (S,): the first record with the same letters."""
    _, first, which = np.unique(sequence_hashes(codes, both_strands), return_index=True, return_inverse=True)
    return first[which]


def _gathered(spool: SeedSpool, codes: Ragged, label: np.ndarray, partners: Partners) -> Iterator[Pairs]:
    """Pairs of different clusters, each once as long as they fit into memory together."""
    lengths, records = codes.lengths, len(codes)
    waiting: list[Pairs] = []
    for runs in spool.runs():
        one, other = partners(runs, lengths)
        apart = label[runs.record[one]] != label[runs.record[other]]
        pairs = Pairs.of_seeds(runs, one[apart], other[apart], spool.span, lengths)
        waiting.append(pairs.distinct(records))
        if sum(map(len, waiting)) >= MOST_PAIRS:
            yield Pairs.joined(waiting).distinct(records)
            waiting = []
    if waiting:
        yield Pairs.joined(waiting).distinct(records)


def _with_longest(runs: SeedRuns, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each seed, and the one of its run in the longest sequence (the first of several)."""
    count = len(runs.record)
    rank = lengths[runs.record] * count + (count - 1 - np.arange(count))
    longest = count - 1 - np.maximum.reduceat(rank, runs.first) % count
    return np.arange(count), longest[runs.run]


def _with_neighbors(runs: SeedRuns, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for distance in NEIGHBORS:
        one = np.flatnonzero(runs.run[:-distance] == runs.run[distance:])
        found.append((one, one + distance))
    one, other = (np.concatenate(ends) for ends in zip(*found, strict=True))
    return one, other


# First most are joined with the longest; what is left is compared with its neighbors.
PARTNERS: tuple[Partners, ...] = (_with_longest, _with_neighbors)
