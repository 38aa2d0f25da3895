"""Folding one shard: which rows, in which order, on which workers, and back into columns."""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from data_prep.errors import DataPrepError
from data_prep.folding.cache import FoldCache
from data_prep.folding.vienna import Fold, fold_chunk, is_foldable, normalize
from data_prep.runtime.executor import Workers

CHUNK_SECONDS = 0.3  # short enough to be lost without regret, long enough to hide the traffic
LAST_CHUNKS = 8  # of what is left, the next chunk takes an eighth at most, so that workers end together
LAST_CHUNK_SECONDS = 0.05

Crop = Callable[[bytes], bytes]


def crop_rule(max_nt: int, long: str) -> Crop:
    """What happens to a sequence above max_nt: `unlabeled` leaves it, keep-5p and keep-3p keep that end."""
    crops: dict[str, Crop] = {
        "unlabeled": lambda sequence: sequence,
        "keep-5p": lambda sequence: sequence[:max_nt],
        "keep-3p": lambda sequence: sequence[-max_nt:],
    }
    return crops[long]


def fold_shard(
    batch: pa.RecordBatch, schema: pa.Schema, max_nt: int, crop: Crop, workers: Workers, cache: FoldCache,
    advance: Callable[[int], object],
) -> tuple[pa.RecordBatch, Counter[str]]:  # fmt: skip
    """The shard with columns structure and mfe_kcal_per_mol, and how many rows were folded (or why not) and cropped.

    A row that cannot be folded stays, without structure and energy.

    Errors:
        DataPrepError: no worker survived any of several sequences.
    """
    whole = batch.column("sequence").cast(pa.binary()).to_pylist()
    sequences = [crop(sequence) for sequence in whole]
    counts: Counter[str] = Counter()
    wanted: dict[bytes, None] = {}
    for sequence in sequences:
        if len(sequence) > max_nt:
            counts["too_long"] += 1
        elif not is_foldable(sequence):
            counts["not_letters"] += 1
        else:
            wanted[normalize(sequence)] = None
    advance(counts.total())
    folds = fold_distinct(list(wanted), workers, cache, advance)
    advance(len(sequences) - counts.total() - len(wanted))

    # Rows that were not wanted have normalized forms that are no keys of `folds`.
    labels = [folds.get(normalize(sequence)) for sequence in sequences]
    counts["folded"] = sum(label is not None for label in labels)
    if died := len(sequences) - counts.total():
        if died > 1 and not folds:  # no record kills alike: it is the workers that do not work
            raise DataPrepError(
                f"folding: every worker died, on all of {died} sequences; look at their memory limit and the import of "
                "RNA (python -m pretrain doctor), then run the same command again"
            )
        counts["worker_died"] = died
    if cropped := sum(len(one) < len(other) for one, other in zip(sequences, whole, strict=True)):
        counts["cropped"] = cropped
    columns = {
        "sequence": pa.array(sequences, pa.string()),
        "length": pa.array([len(sequence) for sequence in sequences], pa.int32()),
        "structure": pa.array([label and label.structure for label in labels], pa.string()),
        "mfe_kcal_per_mol": pa.array([label and label.mfe_hundredths / 100 for label in labels], pa.float32()),
    }
    arrays = [columns[name] if name in columns else batch.column(name) for name in schema.names]
    return pa.record_batch(arrays, schema=schema), counts


def fold_distinct(
    sequences: list[bytes], workers: Workers, cache: FoldCache, advance: Callable[[int], object]
) -> dict[bytes, Fold]:
    """Folds of distinct normalized sequences; those that killed their worker are absent."""
    known = cache.get(sequences)
    folds = {sequence: fold for sequence, fold in zip(sequences, known, strict=True) if fold}
    advance(len(folds))
    chunks = list(chunks_longest_first([sequence for sequence in sequences if sequence not in folds]))
    for number, results in workers.map_chunks(fold_chunk, chunks):
        cache.put(chunks[number], results)
        folds |= {sequence: fold for sequence, fold in zip(chunks[number], results, strict=True) if fold}
        advance(len(results))
    return folds


def chunks_longest_first(sequences: list[bytes]) -> Iterator[list[bytes]]:
    """Chunks of about equal work, smaller ones at the end; the longest sequences first, so that none comes last."""
    ordered = sorted(sequences, key=len, reverse=True)
    seconds = np.cumsum(fold_seconds(np.fromiter(map(len, ordered), np.float64, len(ordered))))
    start, done = 0, 0.0
    while start < len(ordered):
        share = np.clip((seconds[-1] - done) / LAST_CHUNKS, LAST_CHUNK_SECONDS, CHUNK_SECONDS)
        stop = max(start + 1, int(np.searchsorted(seconds, done + share)))
        yield ordered[start:stop]
        start, done = stop, seconds[stop - 1]


def fold_seconds(lengths: np.ndarray) -> np.ndarray:
    """About how long one core folds sequences of these lengths (R,): measured, 3.7 ms at 100 nt, 528 ms at 1000 nt."""
    return 0.0037 * (lengths / 100) ** 2.15
