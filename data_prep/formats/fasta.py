"""Reading FASTA in blocks of whole records, at the speed of the decompressor."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from data_prep.corpus.ragged import Ragged
from data_prep.errors import DataPrepError, shown_name
from data_prep.formats.fasta_text import CONVERTED, NO_LETTERS, STOCKHOLM, FastaText, first_word
from data_prep.formats.kmers import are_overlapping
from data_prep.formats.stockholm import stockholm_as_fasta
from data_prep.formats.text import HEAD_BYTES, chunks
from data_prep.formats.two_bit import is_two_bit
from data_prep.nucleotides import upper_case

MAX_RECORD_BYTES = 1 << 30  # a record is held in memory whole, and Arrow text offsets have 31 bits
BLOCK_BYTES = 1 << 20  # fits the processor's cache, with what is computed from it
LOOKED_AT_BYTES = 1000  # of a record with blanks, to see whether they part k-mers
USUAL_NAME_BYTES = 32  # most names end within them


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
    is_stockholm: bool = False  # the second word of the headers is the family
    comment_lines: int = 0  # left out since the block before

    @cached_property
    def headers(self) -> Ragged:
        """R rows, without '>' and line end. Many corpora have no use for them."""
        return Ragged.from_slices(self.text, self.header_starts, self.header_stops)

    def name(self, row: int) -> str:
        """How an error names a record."""
        name = shown_name(self.ids[row]) or "without name"
        return f"{self.file}: record {self.first_record + row} ({name})"


def read_fasta(path: str | Path, spell: Callable[[np.ndarray], np.ndarray] = upper_case) -> Iterator[FastaBlock]:
    """Blocks of records of a file of sequences, compressed or not; `-` is standard input.

    What counts as FASTA, and what is read as one: `data_prep.formats.fasta_text`. Of a Stockholm alignment the
    sequences are read, gaps removed.
    spell: what is done to the letters of the sequences, uint8 (n,) to uint8 (n,) (upper case, T to U, …).
    Errors: DataPrepError naming the file if it is empty, binary, cut off or not FASTA.
    """
    text = FastaText(path, BLOCK_BYTES)
    pieces = iter(text)
    first = next(pieces, b"")
    whole = chain([first], pieces) if first else pieces
    records = stockholm_as_fasta(whole, text.file) if text.is_stockholm else _whole_records(whole, text.file)
    record, comments = 1, 0
    for part in records:
        block = _parse(part if part.endswith(b"\n") else part + b"\n", spell, text.file, record)
        yield replace(block, is_stockholm=text.is_stockholm, comment_lines=text.comment_lines - comments)
        comments = text.comment_lines
        record += len(block.ids)
    if record == 1:
        raise DataPrepError(f"{text.file}: empty, no FASTA record in it")


def is_sequence_file(path: str | Path) -> bool:
    """Whether a file, not standard input, begins as one that `read_fasta` takes."""
    if is_two_bit(path):
        return True
    head = next(chunks(path, HEAD_BYTES), b"")
    begins = [STOCKHOLM, *CONVERTED]
    return head.lstrip().startswith((b">", b";")) or any(pattern.match(head) for pattern in begins)


def is_stockholm(path: str | Path) -> bool:
    """Whether `read_fasta` will read alignments; False for standard input, whose beginning can be read only once."""
    return str(path) != "-" and not is_two_bit(path) and bool(STOCKHOLM.match(next(chunks(path, HEAD_BYTES), b"")))


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
    found = Ragged.from_slices(text, end + 1, np.append(begin[1:] - 1, len(text)) - 1)
    sequences = _without_blanks(found)
    spelled = Ragged(spell(sequences.values), sequences.offsets)
    block = FastaBlock(file, first_record, _first_words(text, begin, end), spelled, text, begin, end)
    _refuse_kmers(found, block)
    return block


def _refuse_kmers(found: Ragged, block: FastaBlock) -> None:
    """Overlapping k-mers between blanks would silently become another sequence, k times as long."""
    first = found.values.tobytes().find(b" ")
    if first < 0:
        return
    row = int(np.searchsorted(found.offsets, first, "right")) - 1
    start, stop = found.offsets[row : row + 2].tolist()
    words = found.values[start : min(stop, start + LOOKED_AT_BYTES)].tobytes().split()
    whole = words if stop - start <= LOOKED_AT_BYTES else words[:-1]
    if are_overlapping(whole):
        raise DataPrepError(
            f"{block.name(row)}: overlapping {len(words[0])}-mers between blanks ({words[0].decode('latin-1')} "
            f"{words[1].decode('latin-1')} …), expected a sequence; write the one that they were cut from"
        )


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
        ids[row] = first_word(text, begin[row], end[row])
    return ids


def _without_blanks(found: Ragged) -> Ragged:
    """The rows without line ends, blanks and tabs."""
    if found.values.min(initial=ord("A")) > ord(" "):
        return found
    at = np.flatnonzero((found.values == ord("\n")) | (found.values == ord(" ")) | (found.values == ord("\t")))
    letters = found.values.tobytes().translate(None, NO_LETTERS)
    return Ragged(np.frombuffer(letters, np.uint8), found.offsets - np.searchsorted(at, found.offsets))
