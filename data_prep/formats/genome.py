"""A genome FASTA, contig by contig: one contig in memory at a time, no index file, any compression."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from data_prep.errors import DataPrepError, shown, shown_name
from data_prep.formats.fasta_text import NO_LETTERS, FastaText, first_word
from data_prep.nucleotides import AMBIGUOUS, GAPS, complement_table

NUCLEOTIDES = b"ACGTU" + AMBIGUOUS + (b"ACGTU" + AMBIGUOUS).lower()
COMPLEMENT = complement_table("dna").tobytes()


class Contig(NamedTuple):
    """A sequence of a genome FASTA."""

    name: str  # the header up to the first blank
    sequence: bytes  # letters as in the file, case kept


def reverse_complement(sequence: bytes) -> bytes:
    """DNA reverse complement, IUPAC letters and case included."""
    return sequence.translate(COMPLEMENT)[::-1]


def read_contigs(path: str | Path, wanted: Callable[[str], bool] = lambda name: True) -> Iterator[Contig]:
    """Contigs in file order; with `wanted`, only names it holds for, the rest skipped without keeping their letters.

    What counts as FASTA: `data_prep.formats.fasta_text`.
    Raises DataPrepError for a contig without a name, a letter that is no nucleotide, an empty file and a name that
    occurs twice (which sequence an annotation means could not be told).
    """
    seen: set[str] = set()
    name: str | None = None
    parts: list[bytes] = []
    for header, letters in _header_or_letters(path):
        if header is None:
            if name is not None:
                parts.append(letters)
            continue
        if name is not None:
            yield _contig(path, name, parts)
        parts.clear()
        found = first_word(header).decode("utf-8", "replace")
        if not found:
            raise DataPrepError(f"{path}: FASTA header without a name (record {len(seen) + 1}); name it")
        if found in seen:
            raise DataPrepError(f"{path}: FASTA name {shown(found)} occurs twice; rename or remove one of them")
        seen.add(found)
        name = found if wanted(found) else None
    if name is not None:
        yield _contig(path, name, parts)
    if not seen:
        raise DataPrepError(f"{path}: no FASTA record (a line that starts with '>')")


def contig_names(path: str | Path) -> list[str]:
    """The names of all contigs, in file order."""
    headers = (header for header, _ in _header_or_letters(path) if header is not None)
    return [first_word(header).decode("utf-8", "replace") for header in headers]


def _contig(path: str | Path, name: str, parts: list[bytes]) -> Contig:
    sequence = b"".join(parts)
    if foreign := sequence.translate(None, NUCLEOTIDES)[:1]:
        remedy = "; remove the gaps of the alignment" if foreign in GAPS else ""
        raise DataPrepError(
            f"{path}: contig {shown_name(name)}: {shown(foreign)} at base {sequence.index(foreign) + 1} is not a "
            f"nucleotide{remedy}"
        )
    return Contig(name, sequence)


def _header_or_letters(path: str | Path) -> Iterator[tuple[bytes | None, bytes]]:
    """Pieces of the file: (header line, b"") or (None, letters without line ends and blanks)."""
    text = FastaText(path)
    header: bytes | None = None  # a header line that the next chunk continues
    at_line_start = True
    for chunk in text:
        if text.is_stockholm:
            raise DataPrepError(f"{path}: a Stockholm alignment, expected the FASTA of a genome; give that")
        position = 0
        while position < len(chunk):
            if header is None and at_line_start and chunk[position : position + 1] == b">":
                header, position = b"", position + 1
            if header is not None:
                end = chunk.find(b"\n", position)
                if end < 0:
                    header += chunk[position:]
                    break
                yield header + chunk[position:end], b""
                header, position, at_line_start = None, end + 1, True
                continue
            at = chunk.find(b"\n>", position)
            end = len(chunk) if at < 0 else at + 1
            yield None, chunk[position:end].translate(None, NO_LETTERS)
            position, at_line_start = end, chunk[end - 1 : end] == b"\n"
    if header is not None:
        yield header, b""
