"""Allele frequencies out of the INFO column."""

import re


class FrequencyField:
    """Reads the frequency of each alternative allele of a record, None where the record gives none.

    `af_field` is read as it stands; where it is absent, `.` or NaN, the count is divided by the number: the keys with
    AC and AN in place of AF (`AC_EUR_unrel` / `AN_EUR_unrel` for `AF_EUR_unrel`).
    """

    def __init__(self, af_field: str) -> None:
        self._af, self._ac, self._an = (_Key(af_field.replace("AF", name, 1)) for name in ("AF", "AC", "AN"))

    def read(self, info: bytes, alleles: int) -> list[float | None]:
        """Frequencies (alleles,). ValueError if one lies outside 0..1 or their number is not that of the alleles."""
        frequencies = self._af.numbers(info, alleles)
        if alleles == 1 and frequencies[0] is not None and 0 <= frequencies[0] <= 1:
            return frequencies  # nearly every record
        if None in frequencies:
            (total,) = self._an.numbers(info, 1)
            if total:
                counts = self._ac.numbers(info, alleles)
                frequencies = [
                    count / total if frequency is None and count is not None else frequency
                    for frequency, count in zip(frequencies, counts, strict=True)
                ]
        for frequency in frequencies:
            if frequency is not None and not 0 <= frequency <= 1:
                raise ValueError(f"{self._af.name} {frequency:g} is not a frequency")
        return frequencies


class _Key:
    """One INFO key with numbers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._search = re.compile(rb"(?:^|;)" + re.escape(name.encode()) + rb"=([^;]*)").search

    def numbers(self, info: bytes, count: int) -> list[float | None]:
        """Its values (count,); None for `.`, NaN and where the key is absent."""
        found = self._search(info)
        if found is None:
            return [None] * count
        texts = found[1].split(b",")
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
            raise ValueError(f"{self.name} {text.decode(errors='replace')!r} is not a number") from None
        return None if number != number else number  # NaN
