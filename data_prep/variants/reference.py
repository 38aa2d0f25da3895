"""How the alleles of a VCF lie on the genome, and whether both mean the same assembly."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.variants.alleles import SEVERAL

LETTERS = "ACGTN"
OTHER_CODE = 4


@dataclass
class ReferenceCheck:
    """Compares REF with the bases of one contig; the counts fill with each call of `agreeing`.

    bases: of the contig.
    checked: alleles at A, C, G or T; mismatched: of those, the ones with another REF, and alleles beyond the end.
    """

    bases: int
    checked: int = 0
    mismatched: int = 0
    example: str = ""

    def agreeing(self, alleles: np.ndarray, codes: NDArray[np.uint8], dropped: Counter[str]) -> np.ndarray:
        """The alleles ALLELE (R,) whose REF is the base of the genome; the others are counted in `dropped`.

        codes: uint8 (bases,) of the contig, 0-3 = A, C, G, T, 4 = other.
        """
        pos0 = np.ascontiguousarray(alleles["pos0"])
        inside = (pos0 >= 0) & (pos0 < self.bases)
        base = np.full(len(alleles), OTHER_CODE, dtype=np.uint8)
        base[inside] = codes[pos0[inside]]
        if base.max(initial=0) != OTHER_CODE and (alleles["ref"] == base).all():  # nearly always
            self.checked += len(alleles)
            return alleles
        ambiguous = inside & (base == OTHER_CODE)
        # A REF of several bases is only met in records that spoil their position anyway.
        differing = inside & ~ambiguous & (alleles["ref"] != base) & (alleles["ref"] != SEVERAL)
        dropped["beyond_contig"] += int(np.count_nonzero(~inside))
        dropped["at_ambiguous_base"] += int(np.count_nonzero(ambiguous))
        dropped["reference_mismatch"] += int(np.count_nonzero(differing))
        wrong = np.flatnonzero(differing | ~inside)
        self.checked += len(alleles) - int(np.count_nonzero(ambiguous))
        self.mismatched += len(wrong)
        if len(wrong) and not self.example:
            first = alleles[wrong[0]]
            there = LETTERS[base[wrong[0]]] if inside[wrong[0]] else "nothing"
            self.example = f"POS {first['pos0'] + 1}: REF {LETTERS[first['ref']]}, genome {there}"
        return alleles[inside & ~ambiguous & ~differing]

    def means_another_assembly(self, max_fraction: float) -> bool:
        """Whether more than `max_fraction` disagree. A single one never decides, unless nothing agrees."""
        return self.mismatched > max(1.0, max_fraction * self.checked) or 0 < self.mismatched == self.checked
