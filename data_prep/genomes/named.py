"""All assemblies of a corpus together, and the named intervals that files add to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError, shown, shown_name
from data_prep.formats.contig_names import some_names
from data_prep.formats.file_names import refuse_repeated_files
from data_prep.genomes.bed import BedRow, read_bed, refuse_outside
from data_prep.genomes.regions import RegionOptions, balanced_regions
from data_prep.genomes.store import Assembly

SPLIT_LABELS = {
    "train": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}


@dataclass
class Genomes:
    """The assemblies in order; their contigs are numbered through.

    named: name -> intervals int64 (K, 3), contig, start, end; labels: name -> split of each of them, "" where it
    follows from the contig.
    """

    assemblies: list[Assembly]
    named: dict[str, list[np.ndarray]] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=dict)

    @cached_property
    def first_contig(self) -> list[int]:
        """Number of the first contig of each assembly."""
        counts = [len(assembly.contigs) for assembly in self.assemblies]
        return [sum(counts[:number]) for number in range(len(counts))]

    @cached_property
    def names(self) -> list[str]:
        """Names of all contigs."""
        return [name for assembly in self.assemblies for name, _, _ in assembly.contigs]

    @cached_property
    def contigs(self) -> np.ndarray:
        """int64 (C, 3): assembly, first base in its store, bases."""
        rows = [(n, first, bases) for n, assembly in enumerate(self.assemblies) for _, first, bases in assembly.contigs]
        return np.array(rows, np.int64).reshape(-1, 3)

    @cached_property
    def intervals(self) -> np.ndarray:
        """Stretches without N of all contigs, int64 (K, 3)."""
        rows = [
            (first + contig, start, end)
            for first, assembly in zip(self.first_contig, self.assemblies, strict=True)
            for contig, start, end in assembly.intervals
        ]
        return np.array(rows, np.int64).reshape(-1, 3)

    def add(self, name: str, intervals: np.ndarray, labels: Sequence[str] | None = None) -> None:
        """More intervals under a name."""
        self.named.setdefault(name, []).append(intervals)
        self.labels.setdefault(name, []).extend(labels if labels is not None else [""] * len(intervals))

    def has_label(self, split: str) -> bool:
        """Whether a named interval says that it belongs to a split."""
        return any(split in labels for labels in self.labels.values())

    def number_of(self, assembly: str) -> int:
        """Number of the assembly of a name."""
        return [found.name for found in self.assemblies].index(assembly)


def files_by_assembly(option: str, given: Sequence[str], names: Sequence[str]) -> list[tuple[str, Path]]:
    """(assembly, file) of each argument FILE or NAME=FILE."""
    found = []
    for text in given:
        name, separator, path = text.partition("=")
        if separator and name in names:
            found.append((name, Path(path)))
        elif len(names) == 1:
            found.append((names[0], Path(text)))
        else:
            raise DataPrepError(
                f"{option} {text}: with several genomes expected NAME=FILE, NAME one of {some_names(names)}"
            )
    for name in names:
        refuse_repeated_files([path for assembly, path in found if assembly == name])
    return found


def add_regions(genomes: Genomes, name: str, path: Path, options: RegionOptions) -> str:
    """Balanced regions of an assembly under the name `balanced`; returns what to say of them."""
    number = genomes.number_of(name)
    regions, counts = balanced_regions(genomes.assemblies[number], path, options)
    genomes.add("balanced", regions + np.array([genomes.first_contig[number], 0, 0]))
    bases = int((regions[:, 2] - regions[:, 1]).sum())
    told = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in counts.items())
    return f"{name}: balanced regions: {len(regions):,} intervals, {bases:,} bases ({told})"


def _rows_and_splits(path: Path) -> list[tuple[BedRow, str]]:
    """The rows of a BED file, each with the split that its fourth column names, else "".

    Raises:
        DataPrepError: The column names splits and other things, or a base is in two splits.
    """
    rows = [(row, SPLIT_LABELS.get(row.label.lower(), "")) for row in read_bed(path)]
    labeled = [(row, split) for row, split in rows if split]  # the others belong where they lie
    for row, split in rows if labeled else ():
        if row.label and not split:
            raise DataPrepError(
                f"{path} line {row.number}: {shown(row.label)} is not a split, though other rows name one; expected "
                f"{', '.join(SPLIT_LABELS)}; correct the fourth column"
            )
    reach: dict[str, tuple[BedRow, str]] = {}  # the row that ends last, and its split, by contig
    for row, split in sorted(labeled, key=lambda pair: (pair[0].contig, pair[0].start)):
        before, split_before = reach.get(row.contig, (row, split))
        if row.start < before.end and split != split_before:
            raise DataPrepError(
                f"{path} line {row.number}: {shown_name(row.contig)}:{row.start}-{row.end} is {split} "
                f"and overlaps line {before.number}, which is {split_before}; give each base to one split"
            )
        if before is row or row.end > before.end:
            reach[row.contig] = row, split
    return rows


def add_bed(genomes: Genomes, name: str, path: Path, tally: Tally) -> None:
    """The intervals of a BED file under the name `intervals`; those on contigs that a filter dropped are counted.

    DataPrepError for one beyond its contig, and for one on a contig that the genome does not have.
    """
    number = genomes.number_of(name)
    assembly, first = genomes.assemblies[number], genomes.first_contig[number]
    known = {contig: (first + place, bases) for place, (contig, _, bases) in enumerate(assembly.contigs)}
    left_out = {contig for names in assembly.dropped.names.values() for contig in names}
    rows, labels, dropped = [], [], 0
    for row, split in _rows_and_splits(path):
        if row.contig not in known:
            if row.contig not in left_out:
                raise DataPrepError(
                    f"{path} line {row.number}: contig {shown_name(row.contig)} is not in {name}, which begins with "
                    f"{some_names(known)}; take BED and genome of one release"
                )
            dropped += 1
            continue
        contig, bases = known[row.contig]
        refuse_outside(path, row, bases)
        rows.append((contig, row.start, row.end))
        labels.append(split)
    tally.keep("intervals", len(rows))
    tally.drop("intervals", "on_contigs_that_are_not_in_the_corpus", dropped)
    if not rows:
        raise DataPrepError(f"{path}: no interval lies on a contig of {name}; it begins with {some_names(known)}")
    intervals = np.array(rows, np.int64)
    order = np.argsort(intervals[:, 0], kind="stable")  # by contig, else as in the file
    genomes.add("intervals", intervals[order], [labels[place] for place in order.tolist()])
