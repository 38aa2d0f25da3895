"""Writing the arrays of a corpus of allele frequencies into its staged folder (format: `data_prep.corpus.genome`).

Each file is noted when it is whole, so that a rerun after a kill goes on with the first one missing.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.corpus import StagedFolder
from data_prep.corpus.files import canonical_json, read_json
from data_prep.corpus.genome import ARRAYS
from data_prep.errors import DataPrepError
from data_prep.formats.genome import read_contigs
from data_prep.genomes.codes import base_codes, valid_intervals
from data_prep.runtime.console import progress
from data_prep.variants.collect import COMMON, PARTS, RARE
from data_prep.variants.definition import ALLELE, frequency_rows
from data_prep.variants.mnps import PART, added_up, rare_at
from data_prep.variants.reference import OTHER_CODE

SCRATCH = "scratch"  # files that help a rerun and are not published
COUNTS = ("variants", "alleles", "dropped", "added_up", "rare", "rare_added_up")  # of the rows of a contig
GENOME_LIST = f"{SCRATCH}/genome.json"
HASH = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)  # odd numbers without a pattern


@dataclass
class StoredContig:
    """What the manifest says of a contig. other_bases: neither A, C, G nor T; variants: positions with a row."""

    name: str
    folder: str
    bases: int
    other_bases: int
    variants: int = 0


@dataclass
class Genome:
    """The contigs of a corpus, and why the others of the FASTA are not in it.

    intervals: (contig number, start, end) of all stretches that hold a window.
    """

    contigs: list[StoredContig] = field(default_factory=list)
    intervals: list[tuple[int, int, int]] = field(default_factory=list)
    unused: dict[str, str] = field(default_factory=dict)


def store_genome(staged: StagedFolder, fasta: Path, chosen: Callable[[str], bool], window: int) -> Genome:
    """Write codes.npy of every chosen contig that has `window` bases in a row without N."""
    if GENOME_LIST in staged.finished:
        known = read_json(staged.path / GENOME_LIST)
        return Genome(**known | {"contigs": [StoredContig(**contig) for contig in known["contigs"]]})
    genome = Genome()

    def wanted(name: str) -> bool:
        if not chosen(name):
            genome.unused[name] = "contig_not_chosen"
        return chosen(name)

    with progress(description=fasta.name, unit="B") as bar:
        for contig in read_contigs(fasta, wanted):
            codes = base_codes(contig, str(fasta))
            spans = valid_intervals(contig.sequence, window)
            bar.update(len(codes))
            if not spans:
                genome.unused[contig.name] = "contig_without_window"
                continue
            number = len(genome.contigs)
            folder = f"contigs/{number:05d}_{re.sub(r'[^A-Za-z0-9._-]', '_', contig.name)[:64]}"
            if f"{folder}/{ARRAYS['codes']}" not in staged.finished:
                _add_array(staged, f"{folder}/{ARRAYS['codes']}", np.frombuffer(codes, np.uint8))
            genome.contigs.append(StoredContig(contig.name, folder, len(codes), codes.count(OTHER_CODE)))
            genome.intervals += [(number, *span) for span in spans]
    if not genome.contigs:
        raise DataPrepError(f"{fasta}: no chosen contig has {window} bases in a row without N; see --contigs, --window")
    staged.add(GENOME_LIST, canonical_json(asdict(genome)))
    return genome


def store_rows(
    staged: StagedFolder, folder: str, files: Mapping[str, list[Path]], *, min_af: float, drop_multiallelic: bool
) -> dict[str, Any]:
    """Write the variant arrays of the contig in `folder` from its alleles, the files of each kind VCF after VCF.

    Returns {"variants": positions, "alleles", "dropped": by reason, "added_up": alleles added to one of the same base,
    "rare": alleles of the files of rare ones that were dropped, "rare_added_up": those that were not}.
    """
    last = f"{folder}/{ARRAYS['frequencies']}"
    if last not in staged.finished:
        codes = np.load(staged.path / folder / ARRAYS["codes"], mmap_mode="r")
        parts = _read(files[PARTS], PART)
        rare, others = rare_at([file for file in files[RARE] if file.exists()], parts)
        alleles, dropped, added = added_up(_read(files[COMMON], ALLELE), rare, parts, min_af)
        rows = frequency_rows(alleles, codes, drop_multiallelic=drop_multiallelic)
        row, frequencies = _distinct(rows.freq)
        _add_array(staged, f"{folder}/{ARRAYS['pos0']}", rows.pos0)
        _add_array(staged, f"{folder}/{ARRAYS['row']}", row)
        facts = {"variants": len(rows.pos0), "alleles": rows.alleles, "dropped": dict(rows.dropped + dropped)}
        facts |= {"added_up": added, "rare": others, "rare_added_up": len(rare)}
        _add_array(staged, last, frequencies, **facts)
    return {name: staged.finished[last][name] for name in COUNTS}


def _read(files: Sequence[Path], kind: np.dtype) -> np.ndarray:
    return np.concatenate([np.empty(0, kind), *(np.fromfile(file, kind) for file in files if file.exists())])


def store_split(
    staged: StagedFolder, name: str, intervals: NDArray[np.int64], genome: Genome, window: int
) -> dict[str, Any]:
    """Write the intervals (K, 3) of one split; returns what the manifest says of it."""
    file = f"{name}_intervals.npy"
    _add_array(staged, file, intervals)
    lengths = intervals[:, 2] - intervals[:, 1]
    variants = 0
    for number in np.unique(intervals[:, 0]):
        pos0 = np.load(staged.path / genome.contigs[number].folder / ARRAYS["pos0"], mmap_mode="r")
        bounds = np.searchsorted(pos0, intervals[intervals[:, 0] == number, 1:])
        variants += int((bounds[:, 1] - bounds[:, 0]).sum())
    bases = int(lengths.sum())
    return {
        "intervals": file,
        "contigs": [genome.contigs[number].name for number in np.unique(intervals[:, 0])],
        "bases": bases,
        f"windows_of_{window}": int(np.maximum(lengths - window + 1, 0).sum()),
        "variants": variants,
        "variants_per_base": round(variants / bases, 8) if bases else None,
    }


def _add_array(staged: StagedFolder, name: str, array: np.ndarray, **facts: Any) -> None:
    staged.add(name, lambda file: np.save(file, array, allow_pickle=False), **facts)


def _distinct(freq: NDArray[np.float32]) -> tuple[np.ndarray, NDArray[np.float32]]:
    """Rows (V, 4) as (row number (V,), distinct rows (K, 4)), the numbers as narrow as K allows.

    Sorting one word a row is several times as fast as sorting rows: a hash finds the few that differ.
    """
    if not len(freq):
        return np.empty(0, np.uint16), freq
    words = np.ascontiguousarray(freq).view(np.uint64)  # (V, 2)
    key = words[:, 0] * HASH[0] ^ words[:, 1] * HASH[1]
    distinct = np.unique(key)
    number = np.searchsorted(distinct, key)
    first = np.empty(len(distinct), np.int64)
    first[number] = np.arange(len(key))
    if (words[first][number] != words).any():  # two rows of one hash
        _, first, number = np.unique(freq.view("V16"), return_index=True, return_inverse=True)
    order = np.argsort(freq[first].view("V16")[:, 0])
    place = np.empty(len(order), np.uint16 if len(order) <= 1 << 16 else np.uint32)
    place[order] = np.arange(len(order))
    return place[number.reshape(-1)], freq[first[order]]
