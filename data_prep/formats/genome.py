"""A genome FASTA, contig by contig: one contig in memory at a time, no index file, any compression."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from data_prep.errors import DataPrepError
from data_prep.formats.text import chunks

COMPLEMENT = bytes.maketrans(b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv", b"TGCAANYRSWMKVHDBtgcaanyrswmkvhdb")


class Contig(NamedTuple):
    name: str  # the header up to the first blank
    sequence: bytes  # letters as in the file, case kept


def reverse_complement(sequence: bytes) -> bytes:
    """DNA reverse complement, IUPAC letters and case included."""
    return sequence.translate(COMPLEMENT)[::-1]


def read_contigs(path: str | Path, wanted: Callable[[str], bool] = lambda name: True) -> Iterator[Contig]:
    """Contigs in file order; with `wanted`, only names it holds for, the rest skipped without keeping their letters.

    Raises DataPrepError for text before the first header, a header without a name, an empty file and a name that
    occurs twice (which sequence an annotation means could not be told).
    """
    seen: set[str] = set()
    name: str | None = None
    parts: list[bytes] = []
    for header, letters in _header_or_letters(path):
        if header is None:
            if not seen and letters:
                raise DataPrepError(f"{path}: not FASTA: text before the first header ('>'): {letters[:40]!r}")
            if name is not None:
                parts.append(letters)
            continue
        if name is not None:
            yield Contig(name, b"".join(parts))
        parts.clear()
        found = _name(path, header)
        if found in seen:
            raise DataPrepError(f"{path}: FASTA name {found!r} occurs twice; rename or remove one of them")
        seen.add(found)
        name = found if wanted(found) else None
    if name is not None:
        yield Contig(name, b"".join(parts))
    if not seen:
        raise DataPrepError(f"{path}: no FASTA record (a line that starts with '>')")


def _header_or_letters(path: str | Path) -> Iterator[tuple[bytes | None, bytes]]:
    """Pieces of the file: (header line, b"") or (None, letters without line ends)."""
    header: bytes | None = None  # a header line that the next chunk continues
    at_line_start = True
    for chunk in chunks(path):
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
            yield None, chunk[position:end].translate(None, b"\r\n \t")
            position, at_line_start = end, chunk[end - 1 : end] == b"\n"
    if header is not None:
        yield header, b""


def _name(path: str | Path, header: bytes) -> str:
    words = header.split(None, 1)
    if not words or header[:1].isspace():
        raise DataPrepError(f"{path}: FASTA header without a name: {'>' + header.decode('utf-8', 'replace')!r}")
    return words[0].decode("utf-8", "replace")
