"""Leakage: how many held-out sequences have a relative in training.

Each held-out sequence is aligned with the training sequences that share a word with it, up to MOST_PARTNERS for a word;
the best identity counts. Sequences shorter than a word are compared letter by letter only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from data_prep.corpus.ragged import Ragged, offsets_of
from data_prep.errors import DataPrepError
from data_prep.filters.similarity.cluster import MOST_PAIRS, sequence_hashes, to_codes
from data_prep.filters.similarity.pairs import Pairs, identities
from data_prep.filters.similarity.relation import Relation
from data_prep.filters.similarity.seeds import patterns_for
from data_prep.filters.similarity.spool import SeedRuns, SeedSpool
from data_prep.runtime.executor import Workers

IDENTITIES = (1.0, 0.9, 0.8)
MOST_PARTNERS = 16  # training sequences with the same word that one held-out sequence is compared with
SLICE_SEEDS = 1 << 16


@dataclass(frozen=True)
class Leakage:
    """Counts of held-out sequences that are in training.

    Attributes:
        held_out: all of them.
        training: those in training letter by letter (on either strand, if both are searched).
        relatives: identity -> held-out sequences with a training sequence at least so alike.
    """

    training: int
    held_out: int
    same_sequence: int
    relatives: dict[float, int]
    coverage: float
    strand: str

    @classmethod
    def counted(
        cls, best: np.ndarray, same: np.ndarray, training: int, relation: Relation, identities: Sequence[float]
    ) -> "Leakage":
        """Of what `best_identities` found with `relation` among so many training sequences."""
        holding = {one: Relation(one, relation.coverage, relation.strand).holds(best) for one in identities}
        return cls(
            training=training,
            held_out=len(best),
            same_sequence=int(same.sum()),
            relatives={one: int(holds.sum()) for one, holds in holding.items()},
            coverage=relation.coverage,
            strand=relation.strand,
        )

    def to_json(self) -> dict[str, Any]:
        """Identities in percent, as text."""
        relatives = {f"{100 * identity:g}": count for identity, count in self.relatives.items()}
        return {**vars(self), "relatives": relatives}

    def sentence(self) -> str:
        """One line for a report."""
        shares = [
            f"{count:,} ({count / self.held_out:.1%}) at {100 * identity:g} %"
            for identity, count in self.relatives.items()
        ]
        where = "on either strand" if self.strand == "both" else "on the same strand"
        return (
            f"Of {self.held_out:,} held-out sequences {self.same_sequence:,} are in training letter by letter; "
            f"{', '.join(shares)} identity over {self.coverage:.0%} of the shorter one have a relative there "
            f"({where}, {self.training:,} training sequences)."
        )


def leakage(
    train: Ragged,
    held_out: Ragged,
    *,
    identities: Sequence[float] = IDENTITIES,
    coverage: float = 0.8,
    strand: str = "both",
    workers: Workers | None = None,
) -> Leakage:
    """Count held-out sequences with a relative in training.

    Args:
        train: letters of the training sequences.
        held_out: letters of the others.
        identities: shares from 0.5 to 1 for which relatives are counted.
        coverage: share of the shorter sequence that the alignment must hold.
        strand: "both" or "same".
        workers: processes that align; the result does not depend on them.

    Raises:
        DataPrepError: a set is empty, or a value makes no sense.
    """
    relation = min((Relation(one, coverage, strand) for one in identities), key=lambda each: each.identity)
    for name, sequences in (("training", train), ("held-out", held_out)):
        if not len(sequences):
            raise DataPrepError(f"leakage: expected {name} sequences, got none")
    best, same = best_identities(train, held_out, relation, workers=workers)
    return Leakage.counted(best, same, len(train), relation, identities)


def best_identities(
    train: Ragged, held_out: Ragged, relation: Relation, *, workers: Workers | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the closest training relative of each held-out sequence (H,).

    The identity of `relation` sets how wide the band is.

    Returns:
        float64, the identity of the relative (0: none found); bool, whether the sequence is in training letter by
        letter.
    """
    known, asked = to_codes(train), to_codes(held_out)
    same = np.isin(sequence_hashes(asked, relation.both_strands), sequence_hashes(known, relation.both_strands))
    best = same.astype(np.float64)
    lengths = np.concatenate([known.lengths, asked.lengths])
    codes = Ragged(np.concatenate([known.values, asked.values]), offsets_of(lengths))
    wanted = np.concatenate([np.ones(len(known), bool), ~same])
    letters = len(known.values)
    with TemporaryDirectory() as folder:
        for pattern in patterns_for(len(codes.values)):
            spool = SeedSpool(Path(folder), codes, pattern, relation.both_strands, wanted)
            for pairs, asked_rows in _gathered(spool, codes, len(known)):
                open_ = best[asked_rows] < 1
                found = identities(pairs.where(open_), codes, letters, relation, workers)
                np.maximum.at(best, asked_rows[open_], found)
            spool.remove()
    return best, same


def _gathered(spool: SeedSpool, codes: Ragged, known: int) -> Iterator[tuple[Pairs, np.ndarray]]:
    """Pairs of a training and a held-out sequence, each once as long as they fit into memory, and which asks."""
    waiting: list[Pairs] = []
    for runs in spool.runs():
        trained = np.add.reduceat((runs.record < known).astype(np.int64), runs.first)[runs.run]
        asking = np.flatnonzero((runs.record >= known) & (trained > 0))
        for start in range(0, len(asking), SLICE_SEEDS):
            one, other = _partners(runs, asking[start : start + SLICE_SEEDS], trained)
            waiting.append(Pairs.of_seeds(runs, one, other, spool.span, codes.lengths).distinct(len(codes)))
            if sum(map(len, waiting)) >= MOST_PAIRS:
                yield _joined(waiting, len(codes), known)
                waiting = []
    if waiting:
        yield _joined(waiting, len(codes), known)


def _joined(parts: list[Pairs], records: int, known: int) -> tuple[Pairs, np.ndarray]:
    pairs = Pairs.joined(parts).distinct(records)
    return pairs, np.maximum(pairs.shorter, pairs.longer) - known


def _partners(runs: SeedRuns, asking: np.ndarray, trained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Held-out seeds (Q,), each as often as it has partners, and the partners: training comes first in each run."""
    count = np.minimum(trained[asking], MOST_PARTNERS)
    one = np.repeat(asking, count)
    rank = np.arange(len(one)) - np.repeat(np.cumsum(count) - count, count)
    return one, runs.first[runs.run[one]] + rank * trained[one] // np.repeat(count, count)
