"""The first columns of tab-separated lines, without touching the rest of them.

A record of a VCF with thousands of samples is 14 kB of genotypes behind 200 bytes that matter: what follows the fixed
columns is neither split nor copied.
"""

from collections.abc import Iterable, Iterator

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
