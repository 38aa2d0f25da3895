"""Statistics of sequences that add up: computed per shard, merged over shards, summarized for the manifest."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from data_prep.corpus.ragged import Ragged

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def shard_statistics(batch: pa.RecordBatch, letter_counts: np.ndarray) -> dict[str, Any]:
    """Count one shard, as plain data in whole numbers (energies in 0.01 kcal/mol), so that merging is exact.

    letter_counts int64 (256,): of its sequences.
    """
    lengths, rows = _count_distinct(batch.column("length").to_numpy())
    statistics: dict[str, Any] = {
        "length": {str(length): count for length, count in zip(lengths.tolist(), rows.tolist(), strict=True)},
        "letter": {chr(letter): int(letter_counts[letter]) for letter in np.flatnonzero(letter_counts)},
    }
    if "rna_type" in batch.schema.names:
        statistics["rna_type"] = dict(Counter(kind or "" for kind in batch.column("rna_type").to_pylist()))
    if "structure" in batch.schema.names:
        structure = Ragged.from_arrow(batch.column("structure")).values
        unpaired = int(np.count_nonzero(structure == ord(".")))
        statistics["structure"] = {"nucleotides": len(structure), "unpaired": unpaired}
    if "mfe_kcal_per_mol" in batch.schema.names:
        energies = batch.column("mfe_kcal_per_mol").drop_null().to_numpy()
        hundredths = np.rint(energies.astype(np.float64) * 100).astype(np.int64)
        squares = sum(value * value for value in hundredths.tolist())
        statistics["mfe"] = {"rows": len(hundredths), "sum": int(hundredths.sum()), "sum_of_squares": squares}
    return statistics


def merge_statistics(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Add the counts of several shards."""
    merged: dict[str, Counter[str]] = {}
    for part in parts:
        for name, counts in part.items():
            merged.setdefault(name, Counter()).update(counts)
    return {name: dict(counts) for name, counts in merged.items()}


def summarize(statistics: dict[str, Any]) -> dict[str, Any]:
    """Summarize a split for the manifest: lengths, composition, types, structure, energies (kcal/mol)."""
    counts = sorted((int(length), rows) for length, rows in statistics["length"].items())
    lengths, rows = (np.array(column, np.int64) for column in (zip(*counts, strict=True) if counts else ((), ())))
    summary: dict[str, Any] = {
        "sequences": int(rows.sum()),
        "nucleotides": int((lengths * rows).sum()),
        "length_nt": _length_summary(lengths, rows),
        "composition": dict(sorted(statistics["letter"].items(), key=lambda item: (-item[1], item[0]))),
    }
    if "rna_type" in statistics:
        types = sorted(statistics["rna_type"].items(), key=lambda item: (-item[1], item[0]))
        summary["rna_type"] = {kind or "(none)": count for kind, count in types}
    if "structure" in statistics:
        total, unpaired = statistics["structure"]["nucleotides"], statistics["structure"]["unpaired"]
        summary["paired_fraction"] = round(1 - unpaired / total, 6) if total else None
    if "mfe" in statistics:
        summary["mfe_kcal_per_mol"] = _energy_summary(**statistics["mfe"])
    return summary


def _count_distinct(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values, ascending, and how often each occurs."""
    if numbers.max(initial=0) > 1 << 20:
        return np.unique(numbers, return_counts=True)
    counts = np.bincount(numbers)  # no sort; the table is small
    return np.flatnonzero(counts), counts[counts > 0]


def _length_summary(lengths: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    if not len(lengths):
        return {}
    total = int(rows.sum())
    # Nearest-rank quantiles: each is a length that occurs.
    ranks = np.maximum(np.ceil(np.array(QUANTILES) * total), 1)
    at = lengths[np.searchsorted(np.cumsum(rows), ranks)]
    quantiles = {f"p{quantile * 100:02.0f}": int(length) for quantile, length in zip(QUANTILES, at, strict=True)}
    mean = round(float((lengths * rows).sum() / total), 4)
    return {"min": int(lengths[0]), "mean": mean, "max": int(lengths[-1]), **quantiles}


def _energy_summary(rows: int, sum: int, sum_of_squares: int) -> dict[str, Any]:
    if not rows:
        return {"rows": 0, "mean": None, "std": None}
    variance = (sum_of_squares * rows - sum * sum) / rows**2  # exact integers until here
    return {"rows": rows, "mean": round(sum / rows / 100, 6), "std": round(variance**0.5 / 100, 6)}
