"""What the header of a VCF says: its INFO keys, the lengths of its contigs, whether it has samples."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from data_prep.errors import DataPrepError
from data_prep.formats.contig_lengths import CONTIG_LENGTH
from data_prep.formats.known import unexpected
from data_prep.formats.tab_lines import first_columns

Line = tuple[int, bytes | bytearray, int, int]  # of `located_lines`

COLUMNS = 8  # of a record without samples
TABS = "where tabs were turned into spaces, fetch the file again"
INFO_LINE = re.compile(rb"##INFO=<(?=.*\bID=([^,>]+))(?=.*\bNumber=([^,>]+))")


@dataclass
class VcfHeader:
    """What is of use in it.

    info_keys: with their Number, "" where it is not told.
    """

    contig_lengths: dict[str, int] = field(default_factory=dict)
    info_keys: dict[str, str] = field(default_factory=dict)
    has_samples: bool = False

    def read(self, lines: Iterator[Line], path: Path) -> tuple[int, bytes | bytearray, int]:
        """Up to and with the #CHROM line.

        Returns:
            Its number, and where it ends in its text.

        Raises:
            DataPrepError: There is no such line, or another one stands before it.
        """
        for number, text, start, end in lines:
            fields = first_columns(text, start, end, COLUMNS)
            if fields[0] == b"#CHROM":
                self.has_samples = len(fields) > COLUMNS
                return number, text, end
            if fields[0].startswith(b"#CHROM"):
                raise DataPrepError(f"{path}: line {number}: #CHROM and what follows are not divided by tabs; {TABS}")
            if not fields[0].startswith(b"##"):
                raise DataPrepError(f"{path}: line {number}: expected a header line or #CHROM; the header is cut")
            if declared := INFO_LINE.match(fields[0]):
                self.info_keys[declared[1].decode(errors="replace")] = declared[2].decode(errors="replace")
            if length := CONTIG_LENGTH.match(fields[0]):
                self.contig_lengths[length[1].decode(errors="replace")] = int(length[2])
        raise DataPrepError(f"{path}: no #CHROM line; the file is cut off or not a VCF")


def as_vcf(blocks: Iterator[bytes | bytearray], path: Path) -> Iterator[bytes | bytearray]:
    """The same text.

    Raises:
        DataPrepError: It does not begin as a VCF.
    """
    start = bytes(next(blocks, b""))
    if not start.strip():
        raise DataPrepError(f"{path}: empty file; fetch it again")
    if not start.lstrip().startswith(b"##fileformat=VCF"):
        raise unexpected(str(path), start.lstrip(), "VCF (a file that begins with ##fileformat=VCF)")
    return chain([start], blocks)
