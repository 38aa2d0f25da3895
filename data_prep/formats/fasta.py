"""Reading FASTA in blocks of whole records, at the speed of the decompressor."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from data_prep.corpus.ragged import Ragged
from data_prep.errors import DataPrepError
from data_prep.formats.text import open_bytes
from data_prep.nucleotides import upper_case

MAX_RECORD_BYTES = 1 << 30  # a record is held in memory whole, and Arrow text offsets have 31 bits
BLOCK_BYTES = 1 << 20  # fits the processor's cache, with what is computed from it
USUAL_NAME_BYTES = 32  # most names end within them
FIRST_WORD = re.compile(rb"[ \t]*([^ \t]*)")


@dataclass(frozen=True)
class FastaBlock:
    """R consecutive records of one file.

    first_record: number of the first one, from 1. ids (R,): first word of each header. sequences (R rows): as spelled,
    without line ends and blanks; empty where a record has none. text: this part of the file; header_starts,
    header_stops int64 (R,): where in it the headers are.
    """

    file: str
    first_record: int
    ids: list[bytes]
    sequences: Ragged
    text: bytes
    header_starts: np.ndarray
    header_stops: np.ndarray

    @cached_property
    def headers(self) -> Ragged:
        """R rows, without '>' and line end. Many corpora have no use for them."""
        return Ragged.from_slices(self.text, self.header_starts, self.header_stops)

    def name(self, row: int) -> str:
        """How an error names a record."""
        name = self.ids[row].decode("utf-8", "backslashreplace") or "without name"
        return f"{self.file}: record {self.first_record + row} ({name})"


def read_fasta(path: str | Path, spell: Callable[[np.ndarray], np.ndarray] = upper_case) -> Iterator[FastaBlock]:
    """Blocks of records of a plain, gzip or bgzip FASTA; `-` is standard input.

    spell: what is done to the letters of the sequences, uint8 (n,) to uint8 (n,) (upper case, T to U, …).
    Errors: DataPrepError naming the file if it is empty, binary, cut off or not FASTA.
    """
    file = "standard input" if str(path) == "-" else str(path)
    record = 1
    for text in _whole_records(_pieces(path, file), file):
        if b"\0" in text:
            raise DataPrepError(f"{file}: binary data after record {record - 1}, expected FASTA text; check the file")
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        block = _parse(text if text.endswith(b"\n") else text + b"\n", spell, file, record)
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
            yield b"".join([*pending, memoryview(piece)[:cut]])
            pending, size = [], 0
        pending.append(piece[cut:])
        size += len(pending[-1])
        if size > MAX_RECORD_BYTES:
            raise DataPrepError(f"{file}: a record is longer than {MAX_RECORD_BYTES >> 30} GiB; divide it first")
    if size:
        yield b"".join(pending)


def _parse(text: bytes, spell: Callable[[np.ndarray], np.ndarray], file: str, first_record: int) -> FastaBlock:
    """Records of a text from '>' to a line end; the work per letter is done for all of them at once."""
    letters = np.frombuffer(text, np.uint8)
    stops = np.flatnonzero(letters == ord("\n"))  # of lines
    starts = np.concatenate([[0], stops[:-1] + 1])
    header = np.flatnonzero(letters[starts] == ord(">"))  # line numbers
    begin, end = starts[header] + 1, stops[header]
    # A sequence lies between two headers; its last line end is left out.
    sequences = _without_blanks(Ragged.from_slices(text, end + 1, np.append(begin[1:] - 1, len(text)) - 1))
    spelled = Ragged(spell(sequences.values), sequences.offsets)
    return FastaBlock(file, first_record, _first_words(text, begin, end), spelled, text, begin, end)


def _first_words(text: bytes, begin: np.ndarray, end: np.ndarray) -> list[bytes]:
    """The ids (R,) of headers text[begin:end]; the first bytes of all headers are looked at together."""
    ids: list[bytes] = []
    inside = begin[begin <= len(text) - USUAL_NAME_BYTES]  # the last headers may be too close to the end
    if len(inside):
        first = sliding_window_view(np.frombuffer(text, np.uint8), USUAL_NAME_BYTES)[inside]  # a copy
        length = ((first == ord(" ")) | (first == ord("\t")) | (first == ord("\n"))).argmax(axis=1)
        first *= (np.arange(USUAL_NAME_BYTES) < length[:, None]).view(np.uint8)
        ids = first.view(f"S{USUAL_NAME_BYTES}")[:, 0].tolist()  # up to the first NUL
    ids += [b""] * (len(begin) - len(ids))
    for row in [row for row, name in enumerate(ids) if not name]:  # a longer name, "> name", none
        ids[row] = FIRST_WORD.match(text, begin[row], end[row])[1]  # type: ignore[index]  # it always matches
    return ids


def _without_blanks(found: Ragged) -> Ragged:
    """The rows without line ends, blanks and tabs."""
    if found.values.min(initial=ord("A")) > ord(" "):
        return found
    at = np.flatnonzero((found.values == ord("\n")) | (found.values == ord(" ")) | (found.values == ord("\t")))
    letters = found.values.tobytes().translate(None, b"\n \t")
    return Ragged(np.frombuffer(letters, np.uint8), found.offsets - np.searchsorted(at, found.offsets))
