"""Writing an assembly into a staged corpus of kind `genome` (format: `data_prep.corpus.genome`)."""

import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from data_prep.corpus import StagedFolder
from data_prep.corpus.bases import OTHER, pack
from data_prep.corpus.files import canonical_json, read_json
from data_prep.corpus.genome import ARRAYS, PACKED
from data_prep.corpus.spans import Spans
from data_prep.errors import DataPrepError
from data_prep.formats.genome import read_contigs
from data_prep.genomes.codes import base_codes, valid_intervals
from data_prep.genomes.contigs import PIECE, ContigFilter, Dropped, stretches
from data_prep.runtime.console import progress

SCRATCH = "scratch"  # files that help a rerun and are not published


@dataclass
class Assembly:
    """A stored assembly.

    contigs: (name, first base in the store, bases) of each; intervals: (contig, start, end) of stretches without N.
    other_bases: letters but A, C, G, T; soft_masked: letters that were lower case (0 where the case was not kept).
    """

    name: str
    folder: str
    bases: int = 0
    other_bases: int = 0
    soft_masked: int = 0
    contigs: list[tuple[str, int, int]] = field(default_factory=list)
    intervals: list[tuple[int, int, int]] = field(default_factory=list)
    dropped: Dropped = field(default_factory=Dropped)


@dataclass(frozen=True)
class StoreOptions:
    """packed: four bases to a byte. keep_case: remember soft-masked letters. window: bases of the shortest stretch."""

    keep: ContigFilter
    packed: bool
    keep_case: bool
    window: int


def assembly_name(fasta: Path) -> str:
    """What an assembly is called: its file without the endings of FASTA and of compression."""
    name = re.sub(r"\.(gz|bgz|bz2|zst|xz)$", "", fasta.name)
    return re.sub(r"\.(fa|fna|fasta|fas|ffn)$", "", name)


def store_assembly(staged: StagedFolder, number: int, fasta: Path, options: StoreOptions) -> Assembly:
    """Write the arrays of one assembly, contig after contig; what an earlier run finished is kept."""
    note = f"{SCRATCH}/assembly_{number:05d}.json"
    if note in staged.finished:
        known = read_json(staged.path / note)
        return Assembly(**known | {"dropped": Dropped(**known["dropped"])})
    name = assembly_name(fasta)
    assembly = Assembly(name, f"assemblies/{number:05d}_{re.sub(r'[^A-Za-z0-9._-]', '_', name)[:64]}")
    scratch = staged.path / SCRATCH / f"bases_{number:05d}.tmp"
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with open(scratch, "wb") as file:
        other, soft_mask, size = _write_contigs(file, fasta, options, assembly)
    stored = -(-size // 4) if options.packed else size
    _add_raw(staged, f"{assembly.folder}/{PACKED if options.packed else ARRAYS['codes']}", scratch, stored)
    scratch.unlink()
    if options.packed:
        add_spans(staged, f"{assembly.folder}/other", other, size)
    if options.keep_case:
        add_spans(staged, f"{assembly.folder}/soft_mask", soft_mask, size)
    staged.add(note, canonical_json(asdict(assembly)))
    return assembly


def _write_contigs(
    file: BinaryIO, fasta: Path, options: StoreOptions, assembly: Assembly
) -> tuple[np.ndarray, np.ndarray, int]:
    """The bases of all contigs that stay; returns intervals of other letters, of soft-masked ones, and the size."""
    other, masked, size = [np.empty((0, 2), np.int64)], [np.empty((0, 2), np.int64)], 0

    def wanted(name: str) -> bool:
        reason = options.keep.refuses_name(name)
        if reason:
            assembly.dropped.add(reason, name, 0)
        return reason is None

    with progress(description=fasta.name, unit="B") as bar:
        for contig in read_contigs(fasta, wanted):
            bar.update(len(contig.sequence))
            spans = valid_intervals(contig.sequence, options.window)
            reason = options.keep.refuses(contig) or (None if spans else "contig_without_window")
            if reason:
                assembly.dropped.add(reason, contig.name, len(contig.sequence))
                continue
            codes = np.frombuffer(base_codes(contig, str(fasta)), np.uint8)
            other.append(stretches(codes, OTHER, OTHER) + size)
            if options.keep_case:
                masked.append(stretches(contig.sequence, ord("a"), ord("z")) + size)
            assembly.intervals += [(len(assembly.contigs), *span) for span in spans]
            assembly.contigs.append((contig.name, size, len(codes)))
            assembly.bases += len(codes)
            for start in range(0, len(codes), PIECE):  # a multiple of four; so memory stays small
                piece = codes[start : start + PIECE]
                file.write(memoryview(pack(piece) if options.packed else piece))  # type: ignore[arg-type]
            size += -(-len(codes) // 4) * 4 if options.packed else len(codes)
    if not assembly.contigs:
        why = "; ".join(assembly.dropped.sentences()) or "no contig in it"
        raise DataPrepError(
            f"{fasta}: no contig with {options.window} bases of A, C, G, T in a row is left ({why}); see --window, "
            "--contigs and --min-contig"
        )
    intervals, soft = np.concatenate(other), np.concatenate(masked)
    assembly.other_bases, assembly.soft_masked = (int((part[:, 1] - part[:, 0]).sum()) for part in (intervals, soft))
    if assembly.other_bases == assembly.bases:
        raise DataPrepError(f"{fasta}: holds no A, C, G or T, only other letters; is it a genome?")
    return intervals, soft, size


def _add_raw(staged: StagedFolder, name: str, content: Path, size: int) -> None:
    """A file of bytes as an array uint8 (size,), copied piece by piece."""

    def write(file: BinaryIO) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (size,)}
        np.lib.format.write_array_header_1_0(file, header)
        with open(content, "rb") as source:
            shutil.copyfileobj(source, file, 1 << 22)

    staged.add(name, write)


def add_array(staged: StagedFolder, name: str, array: np.ndarray, **facts: Any) -> None:
    """An array as a file of the corpus."""
    staged.add(name, lambda file: np.save(file, array, allow_pickle=False), **facts)


def add_spans(staged: StagedFolder, name: str, intervals: np.ndarray, size: int) -> None:
    """Intervals int64 (K, 2) as the two files of `Spans`."""
    spans = Spans.of(intervals, size)
    add_array(staged, f"{name}_first.npy", spans.first)
    add_array(staged, f"{name}_within.npy", spans.within)
