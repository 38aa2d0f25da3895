"""The first columns of tab-separated lines, without touching the rest of them.

A record of a VCF with thousands of samples is 14 kB of genotypes behind 200 bytes that matter: what follows the fixed
columns is neither split nor copied.
"""

from collections.abc import Iterable, Iterator

HEAD_BYTES = 2048  # longer than the fixed columns of most records; where they are not in it, the whole line is taken


def numbered_columns(blocks: Iterable[bytes], columns: int) -> Iterator[tuple[int, list[bytes]]]:
    """(number of the line from 1, its first `columns` fields and some of what follows) for lines that are not empty.

    `blocks` are consecutive pieces of a text, cut anywhere. Fewer fields: the line has no more.
    """
    number, rest = 1, b""  # rest: the start of a line that the next block continues
    for block in blocks:
        start = 0
        while (end := block.find(b"\n", start)) >= 0:
            if rest:
                yield number, _columns(rest + block[:end], 0, len(rest) + end, columns)
                rest = b""
            elif end > start:
                yield number, _columns(block, start, end, columns)
            start, number = end + 1, number + 1
        rest += block[start:]
    if rest:
        yield number, _columns(rest, 0, len(rest), columns)


def _columns(text: bytes, start: int, end: int, columns: int) -> list[bytes]:
    if end - start > HEAD_BYTES:
        fields = text[start : start + HEAD_BYTES].split(b"\t", columns)
        if len(fields) > columns:
            return fields
    return text[start:end].split(b"\t", columns)
