"""The text of a variant file, a few megabytes at a time.

BGZF (what `bgzip` writes) is a row of small gzip members that inflate independently, so a thread pool inflates them
side by side: zlib releases the interpreter lock, and inflating genotype columns is where nearly all time goes.
"""

import struct
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from data_prep.errors import DataPrepError
from data_prep.textfile import BGZF_END, chunks

MEMBERS_PER_TASK = 64  # about 4 MB of text, 20 ms of work: large against the cost of handing a task over
HEADER = struct.Struct("<4s8x2sHH")  # magic; MTIME to XLEN; "BC"; its length 2; BSIZE (SAM specification, 4.1)
MAGIC = b"\x1f\x8b\x08\x04"


def text_blocks(path: Path, threads: int = 1) -> Iterator[bytes]:
    """Yield the decompressed bytes of `path` in order.

    DataPrepError, naming the file, if it is missing, unreadable, truncated or damaged.
    """
    if not _is_bgzf(path):
        yield from chunks(path)
        return
    try:
        yield from _inflated_in_pool(path, threads)
    except (EOFError, zlib.error) as error:
        raise DataPrepError(f"{path}: damaged bgzip file ({error}); fetch it again") from None


def _is_bgzf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(HEADER.size)
    except OSError:
        return False  # `chunks` says what is wrong with it
    return len(head) == HEADER.size and HEADER.unpack(head)[:2] == (MAGIC, b"BC")


def _inflated_in_pool(path: Path, threads: int) -> Iterator[bytes]:
    """Inflate groups of members in threads, at most two groups per thread ahead of the reader."""
    waiting: deque[Future[bytes]] = deque()
    with path.open("rb") as file, ThreadPoolExecutor(threads) as pool:
        _require_end_block(file)
        while group := _read_members(file):
            waiting.append(pool.submit(_inflate, group))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _require_end_block(file: BinaryIO) -> None:
    """A file cut between two members inflates without complaint; only its missing end block tells."""
    file.seek(-min(len(BGZF_END), file.seek(0, 2)), 2)
    if file.read() != BGZF_END:
        raise EOFError("no end block: it is cut off")
    file.seek(0)


def _read_members(file: BinaryIO) -> list[bytes]:
    """The next compressed members, whole; none at the end of the file."""
    members: list[bytes] = []
    while len(members) < MEMBERS_PER_TASK and (head := file.read(HEADER.size)):
        if len(head) < HEADER.size or HEADER.unpack(head)[:2] != (MAGIC, b"BC"):
            raise EOFError("a compressed block does not begin where one should")
        size = HEADER.unpack(head)[3] + 1
        members.append(head + file.read(size - HEADER.size))
        if len(members[-1]) != size:
            raise EOFError("the last block is cut off")
    return members


def _inflate(members: list[bytes]) -> bytes:
    texts = []
    for member in members:
        checksum, size = struct.unpack("<II", member[-8:])
        text = zlib.decompress(member[HEADER.size : -8], wbits=-zlib.MAX_WBITS, bufsize=max(size, 1))
        if len(text) != size or zlib.crc32(text) != checksum:
            raise zlib.error("a block differs from its recorded length or checksum")
        texts.append(text)
    return b"".join(texts)
