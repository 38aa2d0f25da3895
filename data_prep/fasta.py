"""Reading FASTA in blocks of whole records, at the speed of the decompressor."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.errors import DataPrepError
from data_prep.textfile import open_bytes

MAX_RECORD_BYTES = 1 << 30  # a record is held in memory whole, and Arrow text offsets have 31 bits
BLOCK_BYTES = 1 << 20  # fits the processor's cache, with what is computed from it
UPPER = bytes(range(256)).upper()


@dataclass(frozen=True)
class FastaBlock:
    """R consecutive records of one file.

    first_record: number of the first one, from 1. ids (R,): first word of each header. sequences (R,): translated,
    without line ends and blanks; empty where a record has none. begin, end (R,): where the headers are in text.
    """

    file: str
    first_record: int
    ids: list[bytes]
    sequences: list[bytes]
    text: bytes
    begin: np.ndarray
    end: np.ndarray

    @property
    def headers(self) -> list[bytes]:
        """(R,): whole header lines without '>' and line end."""
        return _slices(self.text, self.begin, self.end)

    def name(self, row: int) -> str:
        """How an error names a record."""
        name = self.ids[row].decode("utf-8", "backslashreplace") or "without name"
        return f"{self.file}: record {self.first_record + row} ({name})"


def read_fasta(path: str | Path, table: bytes = UPPER) -> Iterator[FastaBlock]:
    """Blocks of records of a plain, gzip or bgzip FASTA; `-` is standard input.

    table: 256 bytes for `bytes.translate`, applied to the sequences (upper-casing, T to U, …).
    Errors: DataPrepError naming the file if it is empty, binary, cut off or not FASTA.
    """
    file = "standard input" if str(path) == "-" else str(path)
    record = 1
    for text in _whole_records(_pieces(path, file), file):
        if b"\0" in text:
            raise DataPrepError(f"{file}: binary data after record {record - 1}, expected FASTA text; check the file")
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        block = _parse(text if text.endswith(b"\n") else text + b"\n", table, file, record)
        yield block
        record += len(block.ids)
    if record == 1:
        raise DataPrepError(f"{file}: empty, no FASTA record in it")


def _pieces(path: str | Path, file: str) -> Iterator[bytes]:
    """The bytes from the first '>' on; only a byte-order mark and blank lines may precede it."""
    started = False
    with open_bytes(path) as handle:
        while piece := handle.read(BLOCK_BYTES):
            if not started:
                piece = piece.removeprefix(b"\xef\xbb\xbf").lstrip()
                if piece and not piece.startswith(b">"):
                    raise DataPrepError(f"{file}: starts with {_shown(piece)}, not with '>' ({_kind(piece)})")
                started = bool(piece)
            yield piece


def _shown(text: bytes) -> str:
    return repr(text[:20].split(b"\n")[0].decode("ascii", "backslashreplace"))


def _kind(text: bytes) -> str:
    if text.startswith(b"@"):
        return "FASTQ; convert it to FASTA first"
    return "binary data, expected FASTA text" if b"\0" in text else "no FASTA: a sequence without header"


def _whole_records(pieces: Iterable[bytes], file: str) -> Iterator[bytes]:
    """The same bytes, cut where a line starts with '>'."""
    pending: list[bytes] = []
    size = 0
    for piece in pieces:
        cut = piece.rfind(b"\n>") + 1
        starts_record = piece.startswith(b">") and bool(pending) and pending[-1].endswith(b"\n")
        if cut or starts_record:
            yield b"".join([*pending, piece[:cut]])
            pending, size = [], 0
        pending.append(piece[cut:])
        size += len(pending[-1])
        if size > MAX_RECORD_BYTES:
            raise DataPrepError(f"{file}: a record is longer than {MAX_RECORD_BYTES >> 30} GiB; divide it first")
    if size:
        yield b"".join(pending)


def _parse(text: bytes, table: bytes, file: str, first_record: int) -> FastaBlock:
    """Records of a text from '>' to a line end; the work per letter is done for all of them at once."""
    letters = np.frombuffer(text, np.uint8)
    stops = np.flatnonzero(letters == ord("\n"))  # of lines
    starts = np.concatenate([[0], stops[:-1] + 1])
    header = np.flatnonzero(letters[starts] == ord(">"))  # line numbers
    begin, end = starts[header] + 1, stops[header]

    blanks = np.flatnonzero(letters == ord(" "))
    if b"\t" in text:
        blanks = np.flatnonzero((letters == ord(" ")) | (letters == ord("\t")))
    before, after = np.searchsorted(blanks, begin), np.searchsorted(blanks, end)
    if int((after - before).sum()) < len(blanks):
        return _parse(_without_blanks_in_sequences(letters, blanks, before, after), table, file, first_record)
    first_blank = np.append(blanks, len(text))[before]

    # Without line ends, a position moves left by the number of lines before it.
    lines = np.append(header[1:], len(starts))
    joined = text.translate(table, b"\n")
    sequences = _slices(joined, end - header, np.append(begin[1:] - 1, len(text)) - lines)
    id_ends = np.minimum(end, first_blank)
    ids = _slices(text, begin, id_ends)
    for row in np.flatnonzero(id_ends == begin).tolist():  # "> name": a blank before it
        ids[row] = b"".join(text[begin[row] : end[row]].split(None, 1)[:1])
    return FastaBlock(file, first_record, ids, sequences, text, begin, end)


def _slices(text: bytes, starts: np.ndarray, stops: np.ndarray) -> list[bytes]:
    return [text[start:stop] for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]


def _without_blanks_in_sequences(
    letters: np.ndarray, blanks: np.ndarray, before: np.ndarray, after: np.ndarray
) -> bytes:
    """The text without the blanks that lie outside headers; header r holds blanks before[r] to after[r]."""
    outside = np.ones(len(blanks), bool)
    for start, stop in zip(before.tolist(), after.tolist(), strict=True):
        outside[start:stop] = False
    return np.delete(letters, blanks[outside]).tobytes()
