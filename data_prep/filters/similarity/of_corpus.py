"""Clusters of the records of a corpus, and the sequences of a split."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from data_prep.corpus import Corpus, Ragged
from data_prep.corpus.ragged import offsets_of
from data_prep.filters.similarity.cluster import clusters_of_codes, sequence_hashes, to_codes
from data_prep.filters.similarity.relation import Relation
from data_prep.runtime.executor import Workers


def cluster_keys(corpus: Corpus, relation: Relation, scratch: Path, workers: Workers | None = None) -> np.ndarray:
    """uint64 (R,): the cluster of each record, all splits one after another, as the hash of its first sequence.

    The letters lie on the disk while they are compared.
    """
    path, lengths = scratch / "codes", [np.empty(0, np.int64)]
    with open(path, "wb") as file:
        for split in corpus.splits:
            for batch in corpus.split(split).batches():
                codes = to_codes(_sequences(batch))
                codes.values.tofile(file)
                lengths.append(codes.lengths)
    offsets = offsets_of(np.concatenate(lengths))
    values = np.memmap(path, np.uint8, "r") if offsets[-1] else np.empty(0, np.uint8)
    codes = Ragged(values, offsets)
    label = clusters_of_codes(codes, relation, workers=workers, scratch=scratch)
    keys = sequence_hashes(codes, relation.both_strands)[label]
    path.unlink()
    return keys


def sequences_of(corpus: Corpus, *splits: str) -> Ragged:
    """Read the letters of some splits into memory."""
    parts = [_sequences(batch) for split in splits for batch in corpus.split(split).batches()]
    values = [np.empty(0, np.uint8), *(part.values for part in parts)]
    return Ragged(
        np.concatenate(values), offsets_of(np.concatenate([np.empty(0, np.int64), *(p.lengths for p in parts)]))
    )


def _sequences(batch: pa.RecordBatch) -> Ragged:
    return Ragged.from_arrow(batch.column("sequence"))
