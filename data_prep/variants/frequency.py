"""Allele frequencies out of the INFO column."""

import re
from collections.abc import Iterable

from data_prep.errors import DataPrepError, shown, shown_name

# Keys that list the reference first although many headers do not say Number=R (dbSNP).
REFERENCE_FIRST = frozenset(["CAF", "TOPMED", "FREQ"])
OF_THE_RARER = re.compile(r"(?i)(^|_)MAF(_|$)")
LOOKS_LIKE_FREQUENCY = re.compile(r"(?i)(^|_)(AF|AAF|CAF|TOPMED|FREQ)(_|$)|(?<!M)AF$")


class FrequencyField:
    """Reads the frequency of each alternative allele of a record, None where the record gives none.

    af_field is read as it stands; where it is absent, `.` or NaN, the count is divided by the number: the keys with
    AC and AN in place of AF (`AC_EUR_unrel` / `AN_EUR_unrel` for `AF_EUR_unrel`, `AC_joint` for `AF_joint`).
    `FREQ:TOPMED` takes the list of one study out of dbSNP's `FREQ=TOPMED:0.9,0.1|…`.
    lists_reference: the first value is the reference's (Number=R in the header, or a key known for it).
    A key that stands twice in one record is refused: the specification forbids it, and which one is right, it hides.

    Raises:
        DataPrepError: The key is that of minor alleles, which are the reference's at many sites.
    """

    def __init__(self, af_field: str, number: str = ""):
        if OF_THE_RARER.search(af_field):
            raise DataPrepError(
                f"--af-field {af_field}: the frequency of the rarer allele, which may be REF; expected that of ALT, as "
                "AF; give its key, or fill it from genotypes (bcftools +fill-tags FILE -- -t AF)"
            )
        key, _, self._study = af_field.partition(":")
        self.key = key
        self.lists_reference = number == "R" or key in REFERENCE_FIRST
        self.is_plain = not (self.lists_reference or self._study)
        self._af, self._ac, self._an = (_Key(key.replace("AF", name, 1)) for name in ("AF", "AC", "AN"))

    def read(self, info: bytes, alleles: int) -> list[float | None]:
        """Frequencies (alleles,).

        Raises:
            ValueError: One lies outside 0..1, their number is not that of the alleles, or a key stands twice.
        """
        frequencies = self._listed(info, alleles)
        if alleles == 1 and frequencies[0] is not None and 0 <= frequencies[0] <= 1:
            return frequencies  # nearly every record
        if None in frequencies and "AF" in self.key and not self.lists_reference:
            (total,) = self._an.numbers(info, 1)
            if total:
                counts = self._ac.numbers(info, alleles)
                frequencies = [
                    count / total if frequency is None and count is not None else frequency
                    for frequency, count in zip(frequencies, counts, strict=True)
                ]
        for frequency in frequencies:
            if frequency is not None and not 0 <= frequency <= 1:
                raise ValueError(f"{self.key} {frequency:g} is not a frequency")
        return frequencies

    def _listed(self, info: bytes, alleles: int) -> list[float | None]:
        text = self._af.text(info)
        if text is not None and b":" in text:
            text = self._of_study(text)
        if text is None or text == b".":
            return [None] * alleles
        values = self._af.parsed(text.strip(b"[]"), alleles + self.lists_reference)
        return values[1:] if self.lists_reference else values

    def _of_study(self, text: bytes) -> bytes | None:
        studies: dict[str, bytes] = {}
        for part in text.split(b"|"):
            name, _, values = part.rpartition(b":")
            studies[name.decode("utf-8", "replace")] = values
        if self._study:
            return studies.get(self._study)
        if len(studies) > 1:
            names = ", ".join(map(shown_name, list(studies)[:6]))
            raise ValueError(f"{self.key} lists several studies ({names}); give one, as in --af-field {self.key}:STUDY")
        return next(iter(studies.values()))


def advice_without_frequency(key: str, path: str, info_keys: Iterable[str], has_samples: bool) -> str:
    """What a user can do whose file gives no substitution a frequency under `key`."""
    others = [name for name in info_keys if name != key and LOOKS_LIKE_FREQUENCY.search(name)]
    if others:
        return f"it has {', '.join(map(shown_name, others[:8]))}: give the right one as --af-field"
    if has_samples:
        return f"fill it from the genotypes: bcftools +fill-tags {path} -Oz -o OUT.vcf.gz -- -t AF"
    return "take a file of a population, with AF or with AC and AN"


class _Key:
    """One INFO key with numbers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._search = re.compile(rb"(?:^|;)%s=([^;]*)" % re.escape(name.encode())).search
        self._again = b";" + name.encode() + b"="

    def text(self, info: bytes) -> bytes | None:
        """Its value as it stands, None where the key is absent."""
        found = self._search(info)
        if found is None:
            return None
        if info.find(self._again, found.end()) >= 0:
            raise ValueError(f"{self.name} stands twice in INFO, expected once; keep one, or use another --af-field")
        return found[1]

    def numbers(self, info: bytes, count: int) -> list[float | None]:
        """Its values (count,); None for `.`, NaN and where the key is absent."""
        text = self.text(info)
        return [None] * count if text is None else self.parsed(text, count)

    def parsed(self, text: bytes, count: int) -> list[float | None]:
        """The values (count,) of a text."""
        texts = text.split(b",")
        if len(texts) == count + 1:
            raise ValueError(
                f"{self.name} has {len(texts)} values for {count} alleles (where the first is the reference's, its "
                "header line must say Number=R)"
            )
        if len(texts) != count:
            raise ValueError(f"{self.name} has {len(texts)} values for {count} alleles")
        return [self._number(text) for text in texts]

    def _number(self, text: bytes) -> float | None:
        try:
            if b"_" in text:  # Python takes 0_1 for 1
                raise ValueError
            number = float(text)
        except ValueError:
            if text.strip() == b".":
                return None
            raise ValueError(f"{self.name} {shown(text)} is not a number") from None
        return None if number != number else number  # NaN
