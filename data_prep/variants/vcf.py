"""SNV alleles and their population frequencies from a VCF file. Genotype columns are never looked at.

Of each line the eight fixed columns are split (CHROM POS ID REF ALT QUAL FILTER INFO), of INFO only the frequency is
read. An allele is judged by the bases in which it differs, however long it is written; what is not a single-base
substitution is dropped and counted by reason. Files put together with `cat` have headers in the middle: passed over.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa

from data_prep.errors import DataPrepError, shown
from data_prep.formats.bgzf import text_blocks
from data_prep.formats.tab_lines import Blocks, first_columns, located_lines, whole_lines
from data_prep.variants.alleles import (
    CODE,
    LETTER_CODE,
    SEVERAL,
    Substitution,
    is_snv,
    substitutions,
    why_not_single_base,
)
from data_prep.variants.definition import ALLELE
from data_prep.variants.frequency import FrequencyField
from data_prep.variants.mnps import PART, mnp_key
from data_prep.variants.plain_rows import plain_rows
from data_prep.variants.vcf_header import COLUMNS, TABS, Line, VcfHeader, as_vcf

Match = Callable[[bytes | bytearray, int, int], re.Match[bytes] | None]

TEXT_BYTES = 1 << 20  # of short records that are read together
PASSING = (b"PASS", b".")
MAX_POS_DIGITS = 10
BATCH = 1 << 14  # plain records that become numbers together
FREQUENCY = rb"(0(?:\.\d*+)?|1(?:\.0*+)?|\d(?:\.\d*+)?[eE]-0*[1-9]\d*+)"  # 0 to 1
MOST_INFO_KEYS = 200  # for advice, so few are enough


@dataclass(frozen=True)
class VcfOptions:
    """How records are read.

    af_field: INFO key of the frequency (`AF`, `AF_EUR_unrel`, `EUR_AF`, …), see `FrequencyField`.
    filter_pass: drop records whose FILTER is neither PASS nor empty.
    multiallelic: "keep" reads every SNV allele; "drop" is the published recipe, which reads whole records, so that
    one with several alternative alleles, an SNV among them, spoils its position.
    mnps: "split" reads an allele of several differing bases as as many SNVs; "drop" counts it.
    """

    af_field: str = "AF"
    filter_pass: bool = False
    multiallelic: Literal["keep", "drop"] = "keep"
    mnps: Literal["drop", "split"] = "drop"


class Allele(NamedTuple):
    """An SNV allele; with `multiallelic: drop`, a record that has one, with the frequency of its commonest allele.

    mnp: of a base of an MNP, the number of that MNP (`mnp_key`); 0 for all others.
    """

    contig: bytes
    pos0: int
    ref: int  # 0-3 = A, C, G, T, or SEVERAL
    alt: int  # 0-3 = A, C, G, T, or SEVERAL
    frequency: float
    mnp: int = 0


def _rows(alleles: Iterable[Allele]) -> np.ndarray:
    """SNVs as ALLELE (R,)."""
    return np.array([allele[1:5] for allele in alleles], ALLELE)


def _parts(alleles: Iterable[Allele]) -> np.ndarray:
    """Bases of MNPs as PART (R,)."""
    return np.array([allele[1:] for allele in alleles], PART)


def plain_record(options: VcfOptions) -> re.Pattern[bytes]:
    """Matches what nearly every record is: one base for another, with a frequency that is evidently one.

    Groups: CHROM, POS, REF, ALT, frequency. One match is several times as fast as splitting; what it does not match is
    split and looked at closely, as is one that has the key again (`_has_again`).
    """
    filters = rb"(?:PASS|\.)" if options.filter_pass else rb"[^\t]*+"
    key = re.escape(options.af_field.encode())
    return re.compile(
        rb"([^\t]++)\t(\d{1,%d}+)\t[^\t]*+\t([ACGTacgt])\t([ACGTacgt])\t[^\t]*+\t%s\t(?:(?!%s=)[^\t;]*+;)*+%s=%s(?=[;\t\r]|\Z)"
        % (MAX_POS_DIGITS, filters, key, key, FREQUENCY)
    )


def _has_again(entry: bytes, text: bytes | bytearray, start: int, end: int) -> bool:
    """Whether the rest of INFO, text[start:end] up to the next tab, has `;KEY=`."""
    tab = text.find(b"\t", start, end)
    return text.find(entry, start, end if tab < 0 else tab) >= 0


def _numbers(texts: Sequence[bytes], kind: pa.DataType) -> np.ndarray:
    """Digits (R,) as numbers (R,), those that Python makes of them, three times as fast."""
    return pa.array(texts, pa.string()).cast(kind).to_numpy()


@dataclass
class VcfReader:
    """Iterate over the alleles of one file, (contig, ALLELE (R,)) in file order; the counters fill while it goes.

    Bases of MNPs that are split come apart, as (contig, PART (R,)).

    records: lines read; alleles: alternative alleles on them (with `drop`: records); dropped: of those, by reason;
    changed: alleles that were written with more bases, by what was done.
    header: what it says; its INFO keys become more by those of records without a frequency.
    DataPrepError with file and line for anything that is not a VCF header or record.
    """

    path: Path
    options: VcfOptions = VcfOptions()
    records: int = 0
    alleles: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    header: VcfHeader = field(default_factory=VcfHeader)

    def __iter__(self) -> Iterator[tuple[bytes, np.ndarray]]:
        blocks = Blocks(as_vcf(iter(text_blocks(self.path)), self.path))
        lines = located_lines(blocks)
        number, text, end = self.header.read(lines, self.path)
        key = self.options.af_field.partition(":")[0]
        self._frequency = FrequencyField(self.options.af_field, self.header.info_keys.get(key, ""))
        plain = plain_record(self.options).match if self._frequency.is_plain else lambda *place: None
        if self._frequency.is_plain and not self.header.has_samples:  # short lines: many at a time
            for first, whole in whole_lines(blocks.behind(text, end), number + 1, TEXT_BYTES):
                yield from self._many(first, whole, plain)
        else:
            yield from self._one_by_one(lines, plain)
        if not self.records:
            raise DataPrepError(f"{self.path}: has a header but no records; fetch it again or leave it out")

    def _many(self, number: int, text: bytes, plain: Match) -> Iterator[tuple[bytes, np.ndarray]]:
        """The alleles of whole lines, the first of which is line `number`."""
        found = plain_rows(text, self.options.af_field, filter_pass=self.options.filter_pass)
        if found is None:
            yield from self._one_by_one(located_lines([text], number), plain)
            return
        self.records += len(found.alleles)
        self.alleles += len(found.alleles)
        alleles = found.alleles
        differing = alleles["ref"] != alleles["alt"]
        if not differing.all():
            self.dropped["same_as_reference"] += len(alleles) - int(differing.sum())
            alleles = alleles[differing]
        other_rows: list[int] = []
        others: list[Allele] = []
        parts: list[Allele] = []
        for row in np.flatnonzero(~found.plain).tolist():
            line = text[found.starts[row] : found.stops[row]]
            read = self._read(number + row, line.split(b"\t", COLUMNS))
            snvs = [allele for allele in read if not allele.mnp]
            other_rows += [row] * len(snvs)
            others += snvs
            parts += [allele for allele in read if allele.mnp]
        if others:  # in the order of the file
            rows = np.flatnonzero(found.plain)[differing]
            order = np.argsort(np.concatenate([rows, other_rows]), kind="stable")
            alleles = np.concatenate([alleles, _rows(others)])[order]
        yield found.contig, alleles
        if parts:
            yield found.contig, _parts(parts)

    def _one_by_one(self, lines: Iterable[Line], plain: Match) -> Iterator[tuple[bytes, np.ndarray]]:
        rows: list[tuple[bytes, ...]] = []  # of plain records, not yet numbers
        entry = b";%s=" % self.options.af_field.encode()
        for number, text, start, end in lines:
            found = plain(text, start, end)
            if found and _has_again(entry, text, found.end(), end):
                found = None
            if found:
                rows.append(found.groups())
                if len(rows) < BATCH:
                    continue
            other = [] if found else self._read(number, first_columns(text, start, end, COLUMNS))
            if other or found:  # in the order of the file
                yield from self._plain_alleles(rows)
                rows = []
                for (contig, is_part), alleles in groupby(other, lambda allele: (allele.contig, allele.mnp > 0)):
                    as_rows = _parts if is_part else _rows
                    yield contig, as_rows(alleles)
        yield from self._plain_alleles(rows)

    def _plain_alleles(self, rows: list[tuple[bytes, ...]]) -> Iterator[tuple[bytes, np.ndarray]]:
        self.records += len(rows)
        self.alleles += len(rows)
        for contig, group in groupby(rows, itemgetter(0)):
            _, position, reference, alternative, frequency = zip(*group, strict=True)
            alleles = np.empty(len(position), ALLELE)
            alleles["pos0"] = _numbers(position, pa.int64()) - 1
            alleles["ref"] = LETTER_CODE[np.frombuffer(b"".join(reference), np.uint8)]
            alleles["alt"] = LETTER_CODE[np.frombuffer(b"".join(alternative), np.uint8)]
            alleles["frequency"] = _numbers(frequency, pa.float64())
            differing = alleles["ref"] != alleles["alt"]
            if not differing.all():
                self.dropped["same_as_reference"] += len(alleles) - int(differing.sum())
            yield contig, alleles[differing]

    def _read(self, number: int, fields: list[bytes]) -> list[Allele]:
        """The alleles of any record; none of a blank line or one of a header."""
        if fields[0].startswith(b"#") or (len(fields) == 1 and not fields[0].strip()):
            return []
        if len(fields) < COLUMNS or not fields[1].isdigit() or len(fields[1]) > MAX_POS_DIGITS:
            self._refuse_record(number, fields)
        self.records += 1
        try:
            return self._every_allele(fields) if self.options.multiallelic == "keep" else self._whole_record(fields)
        except ValueError as error:
            asked = "" if "--af-field" in str(error) else "; is --af-field right?"
            raise DataPrepError(f"{self.path}: line {number}: {error}{asked}") from None

    def _every_allele(self, fields: list[bytes]) -> list[Allele]:
        contig, position, _, reference, alternatives, _, filters, info = fields[:COLUMNS]
        alleles = alternatives.split(b",")
        self.alleles += len(alleles)
        if self.options.filter_pass and filters not in PASSING:
            self.dropped["filter"] += len(alleles)
            return []
        frequencies: list[float | None] = []
        found: list[Allele] = []
        for number, allele in enumerate(alleles):
            differing = substitutions(reference, allele)
            if not differing or (len(differing) > 1 and self.options.mnps == "drop"):
                self.dropped[why_not_single_base(reference, allele)] += 1
                continue
            frequencies = frequencies or self._frequency.read(info, len(alleles))
            frequency = frequencies[number]
            if frequency is None:
                self._note_missing(info)
            elif len(differing) > 1:
                self.changed["mnp_split"] += 1
                key = mnp_key((int(position) + one.offset, one.alt) for one in differing)
                found += [self._allele(contig, position, one, frequency, key) for one in differing]
            else:
                self.changed["snv_of_a_longer_allele"] += len(reference) > 1
                found.append(self._allele(contig, position, differing[0], frequency))
        return found

    @staticmethod
    def _allele(contig: bytes, position: bytes, one: Substitution, frequency: float, mnp: int = 0) -> Allele:
        return Allele(contig, int(position) - 1 + one.offset, one.ref, one.alt, frequency, mnp)

    def _note_missing(self, info: bytes) -> None:
        self.dropped["no_frequency"] += 1
        if len(self.header.info_keys) < MOST_INFO_KEYS:
            for entry in info.split(b"\t")[0].split(b";")[:MOST_INFO_KEYS]:
                self.header.info_keys.setdefault(entry.partition(b"=")[0].decode("utf-8", "replace"), "")

    def _whole_record(self, fields: list[bytes]) -> list[Allele]:
        contig, position, _, reference, alternatives, _, filters, info = fields[:COLUMNS]
        alleles = alternatives.split(b",")
        self.alleles += 1
        if self.options.filter_pass and filters not in PASSING:
            self.dropped["filter"] += 1
        elif not any(is_snv(reference, allele) for allele in alleles):
            self.dropped[why_not_single_base(reference, alleles[0])] += 1
        else:
            known = [f for f in self._frequency.read(info, len(alleles)) if f is not None]
            ref = CODE.get(reference, SEVERAL)
            alt = CODE.get(alternatives, SEVERAL) if ref != SEVERAL else SEVERAL
            if known:
                return [Allele(contig, int(position) - 1, ref, alt, max(known))]
            self._note_missing(info)
        return []

    def _refuse_record(self, number: int, fields: list[bytes]) -> NoReturn:
        if len(fields) < COLUMNS:
            wrong = (
                f"{len(fields)} tab-separated columns, a record has at least {COLUMNS}; the file is cut off or damaged"
                + (f" ({TABS})" if len(fields[0].split()) >= COLUMNS else "")
            )
        else:
            wrong = f"POS {shown(fields[1])} is not a position"
        raise DataPrepError(f"{self.path}: line {number}: {wrong}")
