"""From alleles to rows of frequencies: the definition of recipes/mutbert.md#variants.

At a position with SNVs p[alternative] = its frequency, p[reference] = what is left, everything else 0, whatever the
layout of the records (alleles joined in one or split over several).
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_prep.variants.alleles import SEVERAL

ALLELE = np.dtype([("pos0", "<i8"), ("ref", "u1"), ("alt", "u1"), ("frequency", "<f8")])
# Frequencies are printed with a few digits: those of one position may exceed 1 by their rounding.
ROUNDING = 0.01


class FrequencyRows(NamedTuple):
    """pos0 int32 (V,) ascending, unique; freq float32 (V, 4) in A, C, G, T order, rows sum to 1.

    alleles: how many went into the rows; dropped: how many did not, by reason.
    """

    pos0: NDArray[np.int32]
    freq: NDArray[np.float32]
    alleles: int
    dropped: Counter[str]


def frequency_rows(alleles: np.ndarray, codes: NDArray[np.uint8], *, drop_multiallelic: bool) -> FrequencyRows:
    """Combine the alleles ALLELE (R,) of one contig, in file order; their REF agrees with `codes` uint8 (bases,).

    Of the same substitution twice the last counts (`duplicate`). A position whose frequencies exceed 1 together is left
    as in the reference (`sum_above_one`), and with `drop_multiallelic`, the published recipe, one with more than one
    alternative allele too (`multiallelic`).
    """
    dropped: Counter[str] = Counter()
    kept = last_of_each(alleles, "alt")
    dropped["duplicate"] = len(alleles) - len(kept)

    places = np.ascontiguousarray(kept["pos0"])  # sorted
    begins_site = np.append(True, places[1:] != places[:-1])[: len(places)]
    first = np.flatnonzero(begins_site)
    pos0, site = places[first], np.cumsum(begins_site) - 1
    alleles_at = np.diff(first, append=len(places))
    usable = np.ones(len(pos0), dtype=bool)
    if drop_multiallelic:
        usable[alleles_at > 1] = False
        usable[site[kept["alt"] == SEVERAL]] = False
        dropped["multiallelic"] = int(np.count_nonzero(~usable[site]))

    probability = np.zeros((len(pos0), 5))  # the last column takes SEVERAL, which is never usable
    probability[site, kept["alt"]] = kept["frequency"]
    total = probability.sum(axis=1)
    excessive = usable & (total > 1 + ROUNDING)
    dropped["sum_above_one"] = int(alleles_at[excessive].sum())
    usable &= ~excessive

    probability[np.arange(len(pos0)), codes[pos0]] = np.maximum(1 - total, 0)
    probability /= np.maximum(total, 1)[:, None]
    return FrequencyRows(
        pos0[usable].astype(np.int32),
        probability[usable, :4].astype(np.float32),
        int(alleles_at[usable].sum()),
        +dropped,
    )


def last_of_each(alleles: np.ndarray, *fields: str) -> np.ndarray:
    """Rows (R,) sorted by position and `fields`; of those that are equal in these the last in file order."""
    places = np.ascontiguousarray(alleles["pos0"])
    if (places[1:] > places[:-1]).all():  # most files
        return alleles
    fields = ("pos0", *fields)
    alleles = alleles[np.lexsort([alleles[name] for name in reversed(fields)])]  # stable
    changes = [alleles[name][1:] != alleles[name][:-1] for name in fields]
    return alleles[np.append(np.any(changes, axis=0), True)[: len(alleles)]]
