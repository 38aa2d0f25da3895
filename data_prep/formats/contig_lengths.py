"""The lengths of contigs in the header of a VCF, which tell its assembly from another one."""

import re
from collections.abc import Mapping
from pathlib import Path

from data_prep.errors import DataPrepError, shown_name
from data_prep.formats.text import numbered_lines

CONTIG_LENGTH = re.compile(rb"##contig=<(?=.*\bID=([^,>]+))(?=.*\blength=(\d{1,18})\b)")


def header_lengths(path: str | Path) -> dict[str, int]:
    """Bases of each contig whose length the header tells; of any file, an empty one where it is no header."""
    found: dict[str, int] = {}
    for _, line in numbered_lines(path):
        if not line.startswith(b"##"):
            break
        if length := CONTIG_LENGTH.match(line):
            found[length[1].decode(errors="replace")] = int(length[2])
    return found


def refuse_other_length(vcf: str | Path, contig: str, told: Mapping[str, int], bases: int) -> None:
    """DataPrepError where the header of the VCF tells another length of a contig than the genome has."""
    if told.get(contig, bases) != bases:
        raise DataPrepError(
            f"{vcf}: contig {shown_name(contig)}: its header says {told[contig]:,} bases, the genome has {bases:,}: "
            "another assembly, whose positions are other bases; give the FASTA the variants were called on (where only "
            "the header is wrong: bcftools reheader --fai)"
        )
