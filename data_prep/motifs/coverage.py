"""How much of a corpus lies inside motifs: what motif masking can reach."""

from collections.abc import Collection, Iterator

import numpy as np

from data_prep.corpus import Corpus, Ragged
from data_prep.errors import DataPrepError
from data_prep.motifs.matcher import MotifMatcher
from data_prep.runtime.console import progress

MIN_LENGTHS = (4, 5, 6, 7, 8, 10)
ROWS = 4096


def coverage(corpus: Corpus, motifs: Collection[str]) -> list[dict[str, float]]:
    """One entry for each minimum motif length: motifs, share of nucleotides inside one, matches per 100 nt."""
    matcher = MotifMatcher(motifs)
    nucleotides = 0
    covered, matches = np.zeros(len(MIN_LENGTHS), np.int64), np.zeros(len(MIN_LENGTHS), np.int64)
    for rows in training_rows(corpus):
        nucleotides += len(rows.values)
        starts, lengths = matcher.find(rows)
        for i, shortest in enumerate(MIN_LENGTHS):
            chosen = lengths >= shortest
            depth = np.zeros(len(rows.values) + 1, np.int64)
            np.add.at(depth, starts[chosen], 1)
            np.add.at(depth, starts[chosen] + lengths[chosen], -1)
            covered[i] += np.count_nonzero(np.cumsum(depth))
            matches[i] += np.count_nonzero(chosen)
    return [
        {
            "min_length": shortest,
            "motifs": sum(len(motif) >= shortest for motif in motifs),
            "covered": int(covered[i]) / nucleotides,
            "matches_per_100_nt": 100 * int(matches[i]) / nucleotides,
        }
        for i, shortest in enumerate(MIN_LENGTHS)
    ]


def refuse_other_kinds(corpus: Corpus) -> None:
    """DataPrepError for a corpus without sequences."""
    if corpus.kind != "sequences":
        raise DataPrepError(f"{corpus.folder}: a corpus of kind {corpus.kind}; motifs need one of kind sequences")


def training_rows(corpus: Corpus) -> Iterator[Ragged]:
    """The training sequences of a corpus of kind `sequences`, a few thousand at a time."""
    refuse_other_kinds(corpus)
    table = corpus.split("train")
    for start in progress(range(0, len(table), ROWS), description=corpus.folder.name, unit=f" x {ROWS} sequences"):
        yield table.gather(np.arange(start, min(start + ROWS, len(table))))
