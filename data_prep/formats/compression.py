"""Compressed files, told apart by their first bytes, never by their name."""

import bz2
import gzip
import lzma
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from data_prep.errors import DataPrepError

try:  # ISA-L inflates about three times as fast as zlib
    from isal.igzip import GzipFile
    from isal.isal_zlib import error as InflateError
except ImportError:
    from gzip import GzipFile  # type: ignore[assignment]
    from zlib import error as InflateError  # type: ignore[assignment]

BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # SAM specification, 4.1.2
CHUNK = 1 << 22
ZSTD_FEED = 1 << 14  # compressed bytes at a time: even a file of a single letter stays within memory
ZSTD_WINDOW = 1 << 31  # what `zstd --long=31` needs

Pieces = Iterator[bytes]


def decompressed(path: str | Path, size: int = 0) -> Pieces:
    """The decompressed bytes of a file in pieces of about `size` (default: a few MiB); `-` is standard input.

    Raises DataPrepError, naming the file, where it is missing, unreadable, cut off or damaged.
    """
    name = str(path)
    try:
        if name == "-":
            yield from _pieces(name, sys.stdin.buffer, size or CHUNK)
            return
        with open(path, "rb") as raw:
            _refuse_cut_bgzip(name, raw)
            yield from _pieces(name, raw, size or CHUNK)
    except FileNotFoundError:
        raise DataPrepError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise DataPrepError(f"{name}: is a folder, expected a file") from None
    except PermissionError:
        raise DataPrepError(f"{name}: no permission to read it") from None


def _pieces(name: str, raw: Any, size: int) -> Pieces:
    head = raw.peek(6)[:6]  # buffered readers have it
    for magic, (kind, read) in COMPRESSIONS.items():
        if not head.startswith(magic):
            continue
        try:
            yield from read(raw, size)
        except EOFError:
            raise DataPrepError(f"{name}: compressed data end too early; the file is cut off, fetch it again") from None
        except _DAMAGED as error:  # type: ignore[misc]  # isal has no types
            if isinstance(error, OSError) and error.errno:  # the disk, not the data
                raise
            raise DataPrepError(f"{name}: damaged {kind} data ({error}); fetch it again") from None
        return
    yield from _read_all(raw, size)


def _read_all(handle: Any, size: int) -> Pieces:
    while piece := handle.read(size):
        yield piece


def _unzstd(raw: BinaryIO, size: int) -> Pieces:
    """Frames one after the other; `zstandard`'s own reader takes a file that is cut off for a whole one."""
    try:
        import zstandard
    except ImportError:
        raise DataPrepError(
            f"{getattr(raw, 'name', '-')}: compressed with zstd; pip install zstandard, or decompress it (zstd -d)"
        ) from None
    frames = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
    frame, parts, length = None, list[bytes](), 0
    while packed := raw.read(ZSTD_FEED):
        while packed:
            frame = frame or frames.decompressobj()
            try:
                parts.append(frame.decompress(packed))
            except zstandard.ZstdError as error:
                raise lzma.LZMAError(str(error)) from None
            length += len(parts[-1])
            packed = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
        if length >= size:
            yield b"".join(parts)
            parts, length = [], 0
    if frame is not None:
        raise EOFError
    if length:
        yield b"".join(parts)


_DAMAGED = (gzip.BadGzipFile, InflateError, lzma.LZMAError, OSError)
# first bytes -> name and how the rest is read
COMPRESSIONS: dict[bytes, tuple[str, Callable[[Any, int], Pieces]]] = {
    b"\x1f\x8b": ("gzip", lambda raw, size: _read_all(GzipFile(fileobj=raw, mode="rb"), size)),
    b"BZh": ("bzip2", lambda raw, size: _read_all(bz2.BZ2File(raw), size)),
    b"\xfd7zXZ\0": ("xz", lambda raw, size: _read_all(lzma.LZMAFile(raw), size)),  # noqa: SIM115  # its file is closed elsewhere
    b"\x28\xb5\x2f\xfd": ("zstd", _unzstd),
    **{bytes([low]) + b"\x2a\x4d\x18": ("zstd", _unzstd) for low in range(0x50, 0x60)},  # pzstd puts such frames first
}


def _refuse_cut_bgzip(name: str, raw: BinaryIO) -> None:
    """A bgzip file cut between two blocks decompresses without complaint; only its missing end block tells."""
    head = raw.peek(18)[:18]  # type: ignore[attr-defined]
    if head[:4] == b"\x1f\x8b\x08\x04" and head[12:14] == b"BC" and raw.seekable():
        raw.seek(-min(len(BGZF_END), raw.seek(0, 2)), 2)
        if raw.read() != BGZF_END:
            raise DataPrepError(f"{name}: bgzip file without its end block; the file is cut off, fetch it again")
        raw.seek(0)
