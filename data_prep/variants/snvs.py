"""Substitutions (and indels, if asked) of a VCF as a table, with or without a frequency: for scoring, not corpora."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from data_prep.errors import DataPrepError
from data_prep.formats.numbers import WHOLE
from data_prep.formats.text import numbered_lines
from data_prep.variants.alleles import substitutions, why_not_single_base
from data_prep.variants.frequency import FrequencyField


class Snv(NamedTuple):
    """One alternative allele. pos0: 0-based; id: `.` if it has none; frequency: None where the record gives none."""

    contig: str
    pos0: int
    id: str
    ref: str
    alt: str
    frequency: float | None


def read_snvs(path: str | Path, af_field: str = "AF", *, indels: bool = False) -> tuple[list[Snv], Counter[str]]:
    """Read all substitutions in file order, and count the alleles that were left out, by reason.

    Args:
        path: a VCF or BCF.
        af_field: INFO key of the allele frequency.
        indels: whether to read insertions, deletions and longer substitutions too, as the record spells them.

    Raises:
        DataPrepError: names file and line of what is not a VCF record.
    """
    found: list[Snv] = []
    dropped: Counter[str] = Counter()
    frequency = FrequencyField(af_field)
    records = 0
    for number, line in numbered_lines(path):
        if line.startswith(b"#") or not line.strip():
            continue
        if not records and number == 1:
            raise DataPrepError(f"{path}: not a VCF (it does not begin with ##fileformat=VCF)")
        records += 1
        fields = line.rstrip(b"\r\n").split(b"\t", 8)
        if len(fields) < 8 or not WHOLE.fullmatch(fields[1]):
            raise DataPrepError(
                f"{path}: line {number}: not a VCF record (eight tab-separated columns, POS a number); fetch the file "
                "again"
            )
        contig, position, name, reference, alternatives = (field.decode("utf-8", "replace") for field in fields[:5])
        alleles = alternatives.split(",")
        try:
            frequencies = frequency.read(fields[7], len(alleles))
        except ValueError as error:
            raise DataPrepError(f"{path}: line {number}: {error}; is --af-field right?") from None
        for allele, value in zip(alleles, frequencies, strict=True):
            differing = substitutions(reference.encode(), allele.encode())
            spelled = (reference.upper().encode(), allele.upper().encode())
            if len(differing) != 1 and indels and why_not_single_base(*spelled) in ("indel", "mnp"):
                found.append(Snv(contig, int(position) - 1, name, reference.upper(), allele.upper(), value))
                continue
            if len(differing) != 1:
                dropped[why_not_single_base(reference.encode(), allele.encode())] += 1
                continue
            ((offset, ref, alt),) = differing
            found.append(Snv(contig, int(position) - 1 + offset, name, "ACGT"[ref], "ACGT"[alt], value))
    if not records:
        raise DataPrepError(f"{path}: no records in it; fetch the file again")
    return found, dropped
