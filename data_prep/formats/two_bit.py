"""UCSC's 2bit genomes as FASTA: four bases to a byte, N and soft-masked letters as intervals.

Layout: https://genome.ucsc.edu/FAQ/FAQformat.html#format7, both byte orders, offsets of 32 or 64 bits.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_prep.errors import DataPrepError

SIGNATURES = {b"\x43\x27\x41\x1a": "<", b"\x1a\x41\x27\x43": ">"}
LETTERS = np.frombuffer(b"TCAG", np.uint8)[np.arange(256)[:, None] >> np.array([6, 4, 2, 0]) & 3]  # (256, 4)
LOWER = np.uint8(0x20)
PIECE_BYTES = 1 << 22


def is_two_bit(path: str | Path) -> bool:
    """Whether a file, not standard input, begins as 2bit."""
    if not Path(path).is_file():
        return False
    with open(path, "rb") as handle:
        return handle.read(4) in SIGNATURES


def two_bit_as_fasta(path: str | Path) -> Iterator[bytes]:
    """FASTA text, case kept; a contig is held in memory whole.

    Raises:
        DataPrepError: Of another version, cut off or damaged.
    """
    file = _File(path)
    version, contigs, _ = file.numbers(4, 3)
    if version > 1:
        raise DataPrepError(f"{path}: 2bit of version {version}, expected 0 or 1; convert it to FASTA (twoBitToFa)")
    at = 16
    for _ in range(contigs):
        name = file.bytes(at + 1, int(file.bytes(at, 1)[0])).tobytes()
        at += 1 + len(name)
        (offset,) = file.numbers(at, 1, wide=version == 1)
        at += 8 if version == 1 else 4
        if not name.isascii() or not name.decode().isprintable():
            raise file.damaged
        yield b">%s\n" % name
        letters = _contig(file, offset)
        for start in range(0, len(letters), PIECE_BYTES):
            yield letters[start : start + PIECE_BYTES].tobytes()
        yield b"\n"


class _File:
    """A file on the disk, of which only what lies in it can be read."""

    def __init__(self, path: str | Path):
        self.data = np.memmap(path, np.uint8, "r")
        self.order = SIGNATURES[self.data[:4].tobytes()]
        self.damaged = DataPrepError(f"{path}: damaged 2bit, or cut off; fetch it again")

    def bytes(self, start: int, size: int) -> np.ndarray:
        """uint8 (size,)."""
        if start + size > len(self.data):
            raise self.damaged
        return self.data[start : start + size]

    def numbers(self, start: int, count: int, *, wide: bool = False) -> list[int]:
        """Unsigned numbers (count,) of 32 or 64 bits."""
        kind = np.dtype(f"{self.order}u{8 if wide else 4}")
        return np.frombuffer(self.bytes(start, count * kind.itemsize).tobytes(), kind).tolist()


def _contig(file: _File, at: int) -> np.ndarray:
    """The letters uint8 (size,) of the record at a byte of the file."""
    (size,) = file.numbers(at, 1)
    unknown, at = _intervals(file, at + 4, size)
    lower, at = _intervals(file, at, size)
    letters = LETTERS[file.bytes(at + 4, (size + 3) // 4)].reshape(-1)[:size]
    for start, end in unknown:
        letters[start:end] = ord("N")
    for start, end in lower:
        letters[start:end] |= LOWER
    return letters


def _intervals(file: _File, at: int, size: int) -> tuple[list[tuple[int, int]], int]:
    """Intervals within a contig, and the byte behind them."""
    (count,) = file.numbers(at, 1)
    starts, sizes = file.numbers(at + 4, count), file.numbers(at + 4 + 4 * count, count)
    found = [(start, start + length) for start, length in zip(starts, sizes, strict=True)]
    if any(end > size for _, end in found):
        raise file.damaged
    return found, at + 4 + 8 * count
