"""Reading FASTA in blocks of whole records, at the speed of the decompressor."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import DataPrepError
from data_prep.textfile import chunks

MAX_RECORD_BYTES = 1 << 30  # a record is held in memory whole, and Arrow text offsets have 31 bits
BLANKS = b"\r\n \t"


@dataclass(frozen=True)
class FastaBlock:
    """Consecutive records of one file.

    first_record: number of the first one, from 1. headers (R,): without '>' and line end. sequences (R,): as in the
    file or translated, without line ends and blanks; empty where a record has none.
    """

    file: str
    first_record: int
    headers: list[bytes]
    sequences: list[bytes]

    def name(self, row: int) -> str:
        """How an error names a record."""
        words = self.headers[row].split(None, 1)
        text = words[0].decode("utf-8", "backslashreplace") if words else "without name"
        return f"{self.file}: record {self.first_record + row} ({text})"


def read_fasta(path: str | Path, table: bytes | None = None) -> Iterator[FastaBlock]:
    """Blocks of records of a plain, gzip or bgzip FASTA; `-` is standard input.

    table: 256 bytes for `bytes.translate`, applied to the sequences (upper-casing, T to U, …).
    Errors: DataPrepError naming the file if it is empty, binary, cut off or not FASTA.
    """
    file = "standard input" if str(path) == "-" else str(path)
    record = 1
    for text in _whole_records(chunks(path), file):
        if b"\0" in text:
            raise DataPrepError(f"{file}: binary data after record {record - 1}, expected FASTA text; check the file")
        if record == 1:
            text = _without_preamble(text, file)
        parts = [part.partition(b"\n") for part in text[1:].split(b"\n>")]
        headers = [header.rstrip(b"\r") for header, _, _ in parts]
        # All sequences are translated in one go; the separator cannot occur in them.
        joined = b"\0".join([body for _, _, body in parts])
        yield FastaBlock(file, record, headers, joined.translate(table, BLANKS).split(b"\0"))
        record += len(headers)
    if record == 1:
        raise DataPrepError(f"{file}: empty, no FASTA record in it")


def _whole_records(pieces: Iterable[bytes], file: str) -> Iterator[bytes]:
    """The same bytes, cut where a line starts with '>'."""
    pending: list[bytes] = []
    for piece in pieces:
        cut = piece.rfind(b"\n>") + 1
        starts_record = piece.startswith(b">") and bool(pending) and pending[-1].endswith(b"\n")
        if cut == 0 and not starts_record:
            pending.append(piece)
            if sum(map(len, pending)) > MAX_RECORD_BYTES:
                raise DataPrepError(f"{file}: a record is longer than {MAX_RECORD_BYTES >> 30} GiB; divide it first")
            continue
        yield b"".join([*pending, piece[:cut]])
        pending = [piece[cut:]]
    if rest := b"".join(pending):
        yield rest


def _without_preamble(text: bytes, file: str) -> bytes:
    """The first block from its first '>' on; only a byte-order mark and blank lines may precede it."""
    text = text.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise DataPrepError(f"{file}: empty, no FASTA record in it")
    if not text.startswith(b">"):
        kind = "FASTQ; convert it to FASTA first" if text.startswith(b"@") else "no FASTA: a sequence without header"
        shown = text[:20].split(b"\n")[0].decode("ascii", "backslashreplace")
        raise DataPrepError(f"{file}: starts with {shown!r}, not with '>' ({kind})")
    return text
