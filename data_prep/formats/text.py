"""Text files as users have them: plain, gzip or bgzip, told apart by their first bytes, never by their name."""

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from data_prep.errors import DataPrepError

try:  # ISA-L inflates about three times as fast as zlib
    from isal.igzip import GzipFile
    from isal.isal_zlib import error as InflateError
except ImportError:
    from gzip import GzipFile  # type: ignore[assignment]
    from zlib import error as InflateError  # type: ignore[assignment]

BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # SAM specification, 4.1.2
CHUNK = 1 << 22


@contextmanager
def open_bytes(path: str | Path) -> Iterator[BinaryIO]:
    """The decompressed bytes of a file; `-` is standard input.

    Raises DataPrepError, naming the file, where it is missing, unreadable, cut off or damaged.
    """
    name = str(path)
    try:
        if name == "-":
            yield _decompressed(sys.stdin.buffer)
            return
        with open(path, "rb") as raw:
            _refuse_cut_bgzip(name, raw)
            yield _decompressed(raw)
    except FileNotFoundError:
        raise DataPrepError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise DataPrepError(f"{name}: is a folder, expected a file") from None
    except PermissionError:
        raise DataPrepError(f"{name}: no permission to read it") from None
    except EOFError:
        raise DataPrepError(f"{name}: compressed data end too early; the file is cut off, fetch it again") from None
    except (gzip.BadGzipFile, InflateError) as error:  # type: ignore[misc]
        raise DataPrepError(f"{name}: damaged gzip data ({error}); fetch it again") from None


def chunks(path: str | Path) -> Iterator[bytes]:
    """The decompressed bytes in pieces of a few MiB."""
    with open_bytes(path) as handle:
        while chunk := handle.read(CHUNK):
            yield chunk


def numbered_lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their number from 1, line ends kept."""
    with open_bytes(path) as handle:
        yield from enumerate(handle, 1)


def _decompressed(raw: BinaryIO) -> BinaryIO:
    peeked = raw.peek(2)[:2]  # type: ignore[attr-defined]  # buffered readers have it
    return cast(BinaryIO, GzipFile(fileobj=raw, mode="rb")) if peeked == b"\x1f\x8b" else raw


def _refuse_cut_bgzip(name: str, raw: BinaryIO) -> None:
    """A bgzip file cut between two blocks decompresses without complaint; only its missing end block tells."""
    head = raw.read(18)
    if head[:4] == b"\x1f\x8b\x08\x04" and head[12:14] == b"BC":
        raw.seek(-min(len(BGZF_END), raw.seek(0, 2)), 2)
        if raw.read() != BGZF_END:
            raise DataPrepError(f"{name}: bgzip file without its end block; the file is cut off, fetch it again")
    raw.seek(0)
