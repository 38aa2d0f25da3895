"""FASTQ as FASTA: reads of four lines each; qualities are left out."""

from collections.abc import Iterable, Iterator

from data_prep.errors import DataPrepError, shown
from data_prep.formats.text import number_lines

PIECE_BYTES = 1 << 20


def fastq_as_fasta(pieces: Iterable[bytes], file: str) -> Iterator[bytes]:
    """FASTA text in pieces of whole records.

    Raises:
        DataPrepError: A record is not `@name`, letters, `+`, as many qualities, each on one line.
    """
    lines = number_lines(pieces)
    records, size = list[bytes](), 0
    for number, header in lines:
        if not header.strip():
            continue
        letters, plus, quality = (next(lines, (0, b""))[1] for _ in range(3))
        sound = header.startswith(b"@") and plus.startswith(b"+") and len(letters) == len(quality)
        if not sound or b">" in letters:  # a letter that would begin another record
            raise DataPrepError(
                f"{file}: line {number}: expected a FASTQ record of four lines (@name, letters, +, as many qualities), "
                f"got {shown(header)}; fetch it again if it is cut off, put wrapped reads on one line (seqtk seq -l 0)"
            )
        records.append(b">%s\n%s\n" % (header[1:], letters))
        size += len(records[-1])
        if size >= PIECE_BYTES:
            yield b"".join(records)
            records, size = [], 0
    if records:
        yield b"".join(records)
