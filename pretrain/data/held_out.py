"""Leakage between the corpora of a mixture, and between those of ``model.init_from`` and its continuation.

A sequence or cluster held out by one is not trained on from another.

A training row is left out if its letters are those of a validation row of any corpus, with T as U; or if one of the
two is a prefix of the other and as long as the longest row of some corpus, because rows may have been cut there. For a
corpus of DNA, the other strand of a held-out row is held out too. A row is also left out if another corpus holds out
its cluster.

The result depends only on the corpora. It is computed once and kept in the corpus folder,
``held_out/DIGEST/train.npy``; DIGEST is of the corpora. Keys of 64 bits stand for the letters: with a million rows
held out, one training row in 10^13 is left out by chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from xxhash import xxh3_64_intdigest

from data_prep.corpus import Corpus, Ragged, SequenceTable
from pretrain.data.counted_once import counted_once
from pretrain.data.strands import COMPLEMENTS

FOLDER = "held_out"
REASONS = ("held out by another corpus", "in a cluster that another corpus holds out")
_RULE = 1  # raised when other rows would be found
_RNA = np.arange(256, dtype=np.uint8)
_RNA[ord("T")] = ord("U")


@dataclass(frozen=True)
class HeldOut:
    """Training rows to leave out.

    Attributes:
        rows: for each corpus packed bits, uint8 (2, ceil(rows / 8)), one line for each of ``REASONS``; None: no row.
        notes: remarks for the log.
    """

    rows: tuple[np.ndarray | None, ...]
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> list[int]:
        """Rows left out of each corpus; empty if none are, as in runs of one corpus."""
        found = [0 if bits is None else _ones(bits[0] | bits[1]) for bits in self.rows]
        return found if any(found) else []


def held_out_of(corpora: Sequence[Corpus], before: Sequence[Corpus] = ()) -> HeldOut:
    """Compare the training rows of every corpus of sequences with the validation rows of all of them.

    Args:
        corpora: of the run.
        before: what its first weights were trained on. What these hold out is not trained on now; what they trained on
            of this run's held-out rows cannot be undone, and is counted.

    Raises:
        DataPrepError: a corpus cannot be read.
    """
    every = [*corpora, *before]
    rows: list[np.ndarray | None] = [None] * len(every)
    numbers = [number for number, corpus in enumerate(every) if corpus.kind == "sequences"]
    if len(numbers) > 1:
        search = _Search([every[number] for number in numbers])
        for at, number in enumerate(numbers):
            rows[number] = search.rows(at)
    notes = [_genome_note(corpus) for corpus in every if corpus.kind != "sequences" and len(every) > 1]
    for number, (corpus, bits) in enumerate(zip(every, rows, strict=True)):
        found = reasons(bits) if bits is not None else {}
        if number < len(corpora):
            notes += [
                f"{corpus.folder}: {count:,} training sequences are {reason}; they are left out of training"
                for reason, count in found.items()
                if count
            ]
        elif count := sum(found.values()):
            notes.append(
                f"model.init_from was trained on {count:,} sequences of {corpus.folder} that this run holds out, or on "
                "relatives in their clusters: the held-out loss is lower than that of new sequences"
            )
    return HeldOut(tuple(rows[: len(corpora)]), tuple(notes))


def reasons(bits: np.ndarray) -> dict[str, int]:
    """Count rows by the first reason for which they are left out; bits uint8 (2, B)."""
    sequence, cluster = bits
    return dict(zip(REASONS, (_ones(sequence), _ones(cluster & ~sequence)), strict=True))


def _ones(bits: np.ndarray) -> int:
    return int(np.bitwise_count(bits).sum())


def _genome_note(corpus: Corpus) -> str:
    return (
        f"{corpus.folder} holds windows of genomes, which are not compared with what the other corpora hold out; "
        "hold out the same chromosomes, and their transcripts, in all of them"
    )


class _Search:
    """Training rows of corpora that some of these corpora hold out."""

    def __init__(self, corpora: list[Corpus]):
        self._corpora = corpora
        self._strands = any(corpus.manifest.get("alphabet") == "dna" for corpus in corpora)

    def rows(self, number: int) -> np.ndarray:
        """Packed bits uint8 (2, ceil(rows / 8)) of the training rows of one corpus to leave out."""
        corpus = self._corpora[number]
        identity = [str(_RULE), corpus.fingerprint, *sorted(other.fingerprint for other in self._corpora)]
        digest = hashlib.sha256(" ".join(identity).encode()).hexdigest()[:16]
        try:
            bits = counted_once(corpus.folder / FOLDER / digest / "train.npy", lambda: self._find(number))
            if bits.dtype == np.uint8 and bits.shape == (2, -(-len(corpus.split("train")) // 8)):
                return bits
        except (OSError, ValueError):  # a folder that only others may write to, or a damaged file
            pass
        return self._find(number)

    @cached_property
    def _cuts(self) -> list[int]:
        """Lengths of the longest rows of the corpora, but for the corpus with the very longest."""
        longest = [
            max(int(corpus.split(split).lengths.max(initial=0)) for split in corpus.splits) for corpus in self._corpora
        ]
        return sorted(set(longest))[:-1]

    @cached_property
    def _sequences(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys of all that is held out, and of its beginnings, uint64 (K,) each, sorted."""
        whole, beginnings = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
        for table in (table for corpus in self._corpora for table in _held_out(corpus)):
            for _, letters in _letters(table):
                for strand in (letters, _other_strand(letters)) if self._strands else (letters,):
                    whole.append(_keys_of(strand))
                    beginnings += [_keys_of(rows) for _, rows in self._beginnings(strand)]
        return np.unique(np.concatenate(whole)), np.unique(np.concatenate(beginnings))

    def _clusters(self, number: int) -> np.ndarray:
        """Keys of the clusters that the other corpora hold out, uint64 (K,), sorted."""
        keys = [np.empty(0, np.uint64)]
        for other in (corpus for at, corpus in enumerate(self._corpora) if at != number):
            for table in (table for table in _held_out(other) if table.has("cluster")):
                keys += [_keys_of(names)[names.lengths > 0] for _, names in _texts(table, "cluster")]
        return np.unique(np.concatenate(keys))

    def _find(self, number: int) -> np.ndarray:
        table = self._corpora[number].split("train")
        found, (whole, beginnings) = np.zeros((2, len(table)), bool), self._sequences
        for start, letters in _letters(table):
            keys = _keys_of(letters)
            found[0, start : start + len(letters)] = _among(keys, whole) | _among(keys, beginnings)
            for long, rows in self._beginnings(letters):
                found[0, start + long] |= _among(_keys_of(rows), whole)
        if table.has("cluster") and len(clusters := self._clusters(number)):
            for start, names in _texts(table, "cluster"):
                found[1, start : start + len(names)] = _among(_keys_of(names), clusters)
        return np.packbits(found, axis=1)

    def _beginnings(self, letters: Ragged) -> Iterator[tuple[np.ndarray, Ragged]]:
        """Rows longer than the longest of some corpus, int64 (S',), and their letters up to there."""
        for cut in self._cuts:
            long = np.flatnonzero(letters.lengths > cut)
            starts = letters.offsets[:-1][long]
            yield long, Ragged.from_slices(letters.values, starts, starts + cut)


def _held_out(corpus: Corpus) -> Iterator[SequenceTable]:
    yield from (corpus.split(split) for split in corpus.splits if split != "train")


def _other_strand(letters: Ragged) -> Ragged:
    """The rows reverse-complemented, the last one first."""
    return Ragged(COMPLEMENTS["rna"][letters.values[::-1]], letters.offsets[-1] - letters.offsets[::-1])


def _letters(table: SequenceTable) -> Iterator[tuple[int, Ragged]]:
    """First row and letters of stretches of rows, T as U."""
    for start, letters in _texts(table, "sequence"):
        yield start, Ragged(_RNA[letters.values], letters.offsets)


def _texts(table: SequenceTable, column: str) -> Iterator[tuple[int, Ragged]]:
    start = 0
    for batch in table.batches():
        yield start, Ragged.from_arrow(batch.column(column))
        start += len(batch)


def _keys_of(rows: Ragged) -> np.ndarray:
    """XXH3-64 of each row, uint64 (S,)."""
    return np.fromiter(map(xxh3_64_intdigest, rows.slices()), np.uint64, len(rows))


def _among(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which keys are in ``known``, sorted: bool (S,)."""
    if not len(known):
        return np.zeros(len(keys), bool)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return known[at] == keys
