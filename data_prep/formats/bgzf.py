"""The text of a variant file, piece by piece.

Inflating genotype columns is where nearly all time goes. BGZF (what `bgzip` writes) is a row of small gzip members: one
at a time, their text stays in the processor's cache. With the package `deflate` (libdeflate) installed it is inflated
two to three times as fast as with zlib. Several files are read in several processes (`collect`); threads inside one
file gain nothing, members are too small for handing the interpreter lock over.
"""

import struct
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import cast

from data_prep.errors import DataPrepError
from data_prep.formats.bcf import bcf_text
from data_prep.formats.compression import BGZF_END, decompressed
from data_prep.formats.text import as_text

try:
    from deflate import crc32, deflate_decompress
except ImportError:
    from zlib import crc32  # type: ignore[assignment]

    def deflate_decompress(data: memoryview, size: int) -> bytes:  # type: ignore[misc]
        """The zlib form of libdeflate's function."""
        return zlib.decompress(data, wbits=-zlib.MAX_WBITS, bufsize=size)


HEADER = struct.Struct("<4s8x2sHH")  # magic; MTIME to XLEN; "BC"; its length 2; BSIZE (SAM specification, 4.1)
TRAILER = struct.Struct("<II")  # checksum and size of the text
MAGIC = b"\x1f\x8b\x08\x04"
LARGEST_MEMBER = 1 << 16  # BSIZE has 16 bits
READ_BYTES = 1 << 18


class _DamagedError(Exception):
    """What is wrong with a BGZF file."""


def text_blocks(path: Path) -> Iterator[bytes | bytearray]:
    """The text of `path` (see `data_prep.formats.text`) in pieces, cut anywhere.

    DataPrepError, naming the file, if it is missing, unreadable, truncated, damaged or no text.
    """
    if _is_bcf(path):
        return as_text(bcf_text(path), str(path))
    return as_text(cast(Iterator[bytes], decompressed_blocks(path)), str(path), thorough=False)  # bytearrays do as well


def decompressed_blocks(path: Path) -> Iterator[bytes | bytearray]:
    """The decompressed bytes of `path`, as they are."""
    if not _is_bgzf(path):
        yield from decompressed(path)
        return
    try:
        with path.open("rb") as file:
            _require_end_block(file)
            yield from _texts(file)
    except _DamagedError as error:
        raise DataPrepError(f"{path}: damaged bgzip file ({error}); fetch it again") from None


def _is_bcf(path: Path) -> bool:
    try:
        return next(decompressed(path, 4), b"").startswith((b"BCF\1", b"BCF\2"))
    except DataPrepError:
        return False  # whatever is wrong with it is said where it is read


def _is_bgzf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(HEADER.size)
    except OSError:
        return False  # `decompressed` says what is wrong with it
    return len(head) == HEADER.size and HEADER.unpack(head)[:2] == (MAGIC, b"BC")


def _require_end_block(file: BufferedReader) -> None:
    """A file cut between two members inflates without complaint; only its missing end block tells."""
    file.seek(-min(len(BGZF_END), file.seek(0, 2)), 2)
    if file.read() != BGZF_END:
        raise _DamagedError("no end block: it is cut off")
    file.seek(0)


def _texts(file: BufferedReader) -> Iterator[bytes | bytearray]:
    """The text of every member that has any."""
    buffer = memoryview(bytearray(LARGEST_MEMBER + READ_BYTES))
    data, at = buffer[:0], 0
    while True:
        if len(data) - at < LARGEST_MEMBER:
            rest = len(data) - at
            buffer[:rest] = data[at:]
            data, at = buffer[: rest + file.readinto(buffer[rest:])], 0
        if not data:
            return
        if len(data) - at < HEADER.size or HEADER.unpack_from(data, at)[:2] != (MAGIC, b"BC"):
            raise _DamagedError("a compressed block does not begin where one should")
        body, end = at + HEADER.size, at + HEADER.unpack_from(data, at)[3] + 1
        if end > len(data) or end - body < TRAILER.size:
            raise _DamagedError("a compressed block is cut off")
        checksum, size = TRAILER.unpack_from(data, end - TRAILER.size)
        if size:
            yield _inflate(data[body : end - TRAILER.size], checksum, size)
        at = end


def _inflate(member: memoryview, checksum: int, size: int) -> bytes | bytearray:
    """The text of a member without its header and trailer."""
    try:
        text = deflate_decompress(member, size)
    except Exception as error:  # zlib and libdeflate each have their own
        raise _DamagedError(str(error)) from None
    if len(text) != size or crc32(text) != checksum:
        raise _DamagedError("a block differs from its recorded length or checksum")
    return text
