r"""Text files as users have them, for every reader: compressed or not, of any encoding, with any line ends.

What leaves here is UTF-8 with `\n` at the end of lines. A byte-order mark is taken off (also where files were put
together with `cat`), UTF-16 and UTF-32 are decoded, CRLF and the CR of old Macs become `\n`. A CR inside a line of a
file with other line ends could be either, so it is an error.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from data_prep.errors import DataPrepError, shown
from data_prep.formats.compression import decompressed
from data_prep.formats.known import refuse_binary

HEAD_BYTES = 512  # enough to name a format by
MARK = codecs.BOM_UTF8
MARKS_AT_START = re.compile(rb"\A(?:%s)+" % MARK)  # several where a file of nothing but a mark was in front
MARKS_AT_LINE_START = re.compile(rb"([\n\r])(?:%s)+" % MARK)
CUT_MARK = re.compile(rb"(?:\A|[\n\r])\xef\xbb?\Z")
# UTF-32 first: its mark begins with that of UTF-16.
WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
UNMARKED_UTF16 = (
    (re.compile(rb"[\t -~]\0[\n\r\t -~]\0"), "utf-16-le"),
    (re.compile(rb"\0[\t -~]\0[\n\r\t -~]"), "utf-16-be"),
)

Pieces = Iterator[bytes]


def chunks(path: str | Path, size: int = 0) -> Pieces:
    """The text of a file in pieces of about `size` bytes (default: a few MiB), cut anywhere; `-` is standard input.

    Raises DataPrepError, naming the file, where it is missing, unreadable, cut off, damaged or no text.
    """
    return as_text(decompressed(path, size), "standard input" if str(path) == "-" else str(path))


def numbered_lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their number from 1, without line ends; errors as `chunks`."""
    return number_lines(chunks(path))


def number_lines(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The same of a text in pieces, cut anywhere."""
    number, rest = 1, list[bytes]()
    for chunk in pieces:
        first, *lines = chunk.split(b"\n")
        rest.append(first)
        if not lines:
            continue
        yield number, b"".join(rest)
        rest = [lines.pop()]
        yield from enumerate(lines, number + 1)
        number += len(lines) + 1
    if last := b"".join(rest):
        yield number, last


def as_text(pieces: Iterable[bytes], file: str, *, thorough: bool = True) -> Pieces:
    """The same text in one form; `file` names it in errors.

    thorough: look for byte-order marks and NUL bytes behind the beginning too. Readers that refuse any line with one
    anyway, and pass over most of their text, do without.
    """
    pieces = iter(pieces)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= HEAD_BYTES:
            break
    refuse_binary(file, head)
    codec = next((codec for mark, codec in WIDE if head.startswith(mark)), None)
    codec = codec or next((codec for pattern, codec in UNMARKED_UTF16 if pattern.match(head)), None)
    pieces = chain([MARKS_AT_START.sub(b"", head)], pieces)
    if codec:
        pieces = _decoded(pieces, codec, file)
    elif b"\0" in head:
        raise _binary(file)
    return _with_line_feeds(_without_marks(_without_zeros(pieces, file)) if thorough else pieces, file)


def _without_zeros(pieces: Pieces, file: str) -> Pieces:
    for piece in pieces:
        if b"\0" in piece:
            raise _binary(file)
        yield piece


def _binary(file: str) -> DataPrepError:
    return DataPrepError(f"{file}: binary data (a NUL byte), expected text; check the file")


def _decoded(pieces: Pieces, codec: str, file: str) -> Pieces:
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        for piece in pieces:
            if text := decoder.decode(piece):
                yield text.encode()
        decoder.decode(b"", final=True)
    except UnicodeError:
        raise DataPrepError(f"{file}: damaged {codec.upper()} text; save it as UTF-8") from None


def _without_marks(pieces: Pieces) -> Pieces:
    """Without byte-order marks, however many, at the beginning and at the beginning of lines."""
    held, begins_line = b"", True
    for piece in pieces:
        if held:
            piece, held = held + piece, b""
        if begins_line and piece.startswith(MARK):
            piece = MARKS_AT_START.sub(b"", piece)
        if b"\xef" in piece:
            piece = MARKS_AT_LINE_START.sub(rb"\1", piece)
            cut = CUT_MARK.search(piece)
            if cut and (cut.start() or begins_line or piece[:1] in b"\n\r"):
                held, piece = bytes(piece[cut.start() :]), piece[: cut.start()]
        if piece:
            begins_line = piece[-1:] in (b"\n", b"\r")
            yield piece
    if held:
        yield held


def _with_line_feeds(pieces: Pieces, file: str) -> Pieces:
    old_mac: bool | None = None  # not known before the first line end
    held = b""  # CRs at the end of a piece: what follows tells what they are
    for piece in pieces:
        if held:
            piece, held = held + piece, b""
        if b"\r" not in piece:
            if old_mac is False:  # nearly always
                yield piece
                continue
        else:
            stripped = piece.rstrip(b"\r")
            held, piece = bytes(piece[len(stripped) :]), stripped
            while b"\r\n" in piece:  # CRLF, and CRCRLF of files converted twice
                piece = piece.replace(b"\r\n", b"\n")
        carriage_return, line_feed = piece.find(b"\r"), piece.find(b"\n")
        if old_mac is None and (carriage_return >= 0 or line_feed >= 0):
            old_mac = carriage_return >= 0 and not 0 <= line_feed < carriage_return
        if (line_feed if old_mac else carriage_return) >= 0:
            raise _mixed(file, piece, carriage_return if carriage_return >= 0 else line_feed)
        if old_mac:
            piece = piece.replace(b"\r", b"\n")
        if piece:
            yield piece
    if held:
        yield b"\n" * (1 if old_mac is False else len(held))


def _mixed(file: str, piece: bytes, at: int) -> DataPrepError:
    start = max(piece.rfind(b"\n", 0, at) + 1, piece.rfind(b"\r", 0, at) + 1, at - 30)
    return DataPrepError(
        f"{file}: a carriage return inside a line ({shown(piece[start : at + 20])}): line ends are mixed; make them "
        "one kind, e.g. tr '\\r' '\\n', or remove it"
    )
