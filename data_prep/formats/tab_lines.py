"""The first columns of tab-separated lines, without touching the rest of them.

A record of a VCF with thousands of samples is 14 kB of genotypes behind 200 bytes that matter: what follows the fixed
columns is neither split nor copied.
"""

from collections.abc import Iterable, Iterator

import numpy as np

HEAD_BYTES = 2048  # longer than the fixed columns of most records; where they are not in it, the whole line is taken


def located_lines(
    blocks: Iterable[bytes | bytearray], number: int = 1
) -> Iterator[tuple[int, bytes | bytearray, int, int]]:
    """(number of the line, text, start, end): the line is text[start:end]; for lines that are not empty.

    `blocks` are consecutive pieces of a text, cut anywhere, that begins with line `number`.
    """
    rest = b""  # rest: the start of a line that the next block continues
    for block in blocks:
        start, letters = 0, memoryview(block)
        while (end := block.find(b"\n", start)) >= 0:
            if rest:
                yield number, rest + letters[:end], 0, len(rest) + end
                rest = b""
            elif end > start:
                yield number, block, start, end
            start, number = end + 1, number + 1
        rest += letters[start:]
    if rest:
        yield number, rest, 0, len(rest)


def first_columns(text: bytes | bytearray, start: int, end: int, columns: int) -> list[bytes]:
    """The first fields of the line text[start:end], and some of what follows. Fewer fields: the line has no more."""
    if end - start > HEAD_BYTES:
        fields = bytes(text[start : start + HEAD_BYTES]).split(b"\t", columns)
        if len(fields) > columns:
            return fields
    return bytes(text[start:end]).split(b"\t", columns)


class Blocks:
    """Blocks of text for `located_lines`, of which the rest can be taken after one of its lines."""

    def __init__(self, blocks: Iterator[bytes | bytearray]):
        self._blocks = blocks
        self._block: bytes | bytearray = b""

    def __iter__(self) -> Iterator[bytes | bytearray]:
        for block in self._blocks:
            self._block = block
            yield block

    def behind(self, text: bytes | bytearray, end: int) -> Iterator[bytes | bytearray]:
        """What follows the line that ends at text[end], the last one taken."""
        # A line that began in the block before is a text of its own; it ends with the first line end of this block.
        at = end if text is self._block else self._block.find(b"\n")
        yield self._block[at + 1 :] if at >= 0 else b""
        yield from self._blocks


def whole_lines(blocks: Iterable[bytes | bytearray], number: int, size: int) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, text of whole lines) of about `size` bytes; the last line gets its end."""
    parts: list[bytes | bytearray] = []
    held = 0
    for block in blocks:
        parts.append(block)
        held += len(block)
        if held < size:
            continue
        text = b"".join(parts)
        cut = text.rfind(b"\n") + 1
        if cut:
            yield number, text[:cut]
            number += int(np.count_nonzero(np.frombuffer(text, np.uint8, cut) == ord("\n")))
        parts = [text[cut:]]
        held = len(parts[0])
    text = b"".join(parts)
    if text:
        yield number, text if text.endswith(b"\n") else text + b"\n"
