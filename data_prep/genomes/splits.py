"""Which part of the genomes is train, validation and test, and what the manifest says of each."""

from typing import Any

import numpy as np

from data_prep.corpus import StagedFolder
from data_prep.errors import DataPrepError
from data_prep.formats.contig_names import ContigNames, listed_contigs
from data_prep.genomes.holdout import last_fraction
from data_prep.genomes.named import Genomes
from data_prep.genomes.store import add_array


def divide(
    genomes: Genomes, validation: str | None, test: str | None, fraction: float, window: int
) -> dict[str, np.ndarray]:
    """Split -> intervals int64 (K, 3): by lists of contigs, or the last `fraction` of what is not test."""
    names = ContigNames(genomes.names, "the contigs used", True)
    intervals = genomes.intervals
    chosen = {
        split: np.isin(intervals[:, 0], _numbers(genomes, listed_contigs(f"--{split}-contigs", text, names)))
        for split, text in (("validation", validation), ("test", test))
        if text is not None
    }
    taken = np.zeros(len(intervals), bool)
    for held_out in chosen.values():
        if (taken & held_out).any():
            raise DataPrepError("--validation-contigs and --test-contigs name the same contig; give it to one of them")
        taken |= held_out
    if taken.all():
        raise DataPrepError("--validation-contigs and --test-contigs name every contig, so nothing is left to train on")
    splits = {"train": intervals[~taken], "validation": intervals[:0]}
    if validation is None:
        splits = last_fraction(splits["train"], fraction, window)
    return splits | {split: intervals[held_out] for split, held_out in chosen.items()}


def _numbers(genomes: Genomes, names: list[str]) -> list[int]:
    """Numbers of the contigs of these names, in every assembly that has them."""
    return [number for number, name in enumerate(genomes.names) if name in names]


def store_split(
    staged: StagedFolder, split: str, intervals: np.ndarray, genomes: Genomes, window: int
) -> dict[str, Any]:
    """Write the intervals of one split, named ones too; returns what the manifest says of it."""
    file = f"{split}_intervals.npy"
    add_array(staged, file, intervals)
    lengths = intervals[:, 2] - intervals[:, 1]
    regions: dict[str, str] = {}
    counts: dict[str, int] = {}
    for name, parts in genomes.named.items():
        everything = np.concatenate(parts)
        own = everything[_belongs(everything, np.array(genomes.labels[name]), split, intervals)]
        regions[name] = f"regions/{name}_{split}.npy"
        add_array(staged, regions[name], own)
        counts |= {f"{name} intervals": len(own), f"{name} bases": int((own[:, 2] - own[:, 1]).sum())}
    return {
        "intervals": file,
        "regions": regions,
        "contigs": len(np.unique(intervals[:, 0])),
        "bases": int(lengths.sum()),
        "windows": int(np.maximum(lengths - window + 1, 0).sum()),
        "named": counts,
    }


def _belongs(named: np.ndarray, labels: np.ndarray, split: str, intervals: np.ndarray) -> np.ndarray:
    """Which intervals belong to the split, bool (K,).

    By label; otherwise those between the first and the last base of the split on their contig.
    """
    contigs = np.unique(intervals[:, 0])
    place = np.searchsorted(contigs, named[:, 0]).clip(max=max(len(contigs) - 1, 0))
    if not len(contigs):
        return labels == split
    first = intervals[np.searchsorted(intervals[:, 0], contigs), 1][place]
    last = intervals[np.searchsorted(intervals[:, 0], contigs, side="right") - 1, 2][place]
    inside = (contigs[place] == named[:, 0]) & (named[:, 1] >= first) & (named[:, 2] <= last)
    return np.where(labels == "", inside, labels == split)


def balanced_weights(genomes: Genomes, train: np.ndarray, name: str, window: int) -> list[float]:
    """Weights under which every assembly gives as many windows, half a window apart, of its balanced regions as one."""
    everything = np.concatenate(genomes.named["balanced"])
    own = everything[_belongs(everything, np.array(genomes.labels["balanced"]), "train", train)]
    windows = np.maximum((own[:, 2] - own[:, 1] - window) // max(window // 2, 1) + 1, 0)
    counts = np.bincount(genomes.contigs[own[:, 0], 0], weights=windows, minlength=len(genomes.assemblies))
    wanted = counts[genomes.number_of(name)]
    if not counts.all():
        without = genomes.assemblies[int(np.argmin(counts))].name
        raise DataPrepError(
            f"--balance-to {name}: {without} has no balanced regions to train on; give its --annotation"
        )
    return np.round(wanted / counts, 6).tolist()
