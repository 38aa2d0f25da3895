"""Bases that SNVs and parts of MNPs have in common, in one record or in several: their frequencies add up.

An MNP (`AC` -> `GT`) and an SNV (`A` -> `G`) at one base are two haplotypes, so the base has the sum of both, as it has
where both are written in one record. Only the same allele again is a duplicate: one SNV, or the bases of one MNP.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from data_prep.variants.definition import ALLELE, last_of_each

PART = np.dtype([*ALLELE.descr, ("mnp", "<u8")])  # one base of an MNP; mnp: the same for all bases of one allele
ROWS = 1 << 20  # of a file of rare alleles that are looked at together


def mnp_key(bases: Iterable[tuple[int, int]]) -> int:
    """A number below 2^64 for the MNP of these bases, (position, code) of each; another one for another MNP."""
    return int.from_bytes(hashlib.blake2b(repr(tuple(bases)).encode(), digest_size=8).digest(), "little")


def rare_at(files: Sequence[Path], parts: np.ndarray) -> tuple[np.ndarray, int]:
    """The alleles ALLELE (R,) in files of rare ones at a base of PART (P,) `parts`, and how many others there are."""
    bases = _bases(parts)
    found = [block[np.isin(_bases(block), bases)] for block in _blocks(files if len(parts) else [])]
    others = sum(file.stat().st_size // ALLELE.itemsize for file in files) - sum(map(len, found))
    return np.concatenate([np.empty(0, ALLELE), *found]), others


def added_up(
    alleles: np.ndarray, rare: np.ndarray, parts: np.ndarray, min_af: float
) -> tuple[np.ndarray, Counter[str], int]:
    """SNVs ALLELE (R,) with parts of MNPs PART (P,) and the rare SNVs ALLELE (Q,) at the same bases.

    Of one SNV the last that is not rare counts, else the last; of one MNP the last. Returns the alleles, those of bases
    with an MNP behind all others; how many were dropped by reason; and how many were added to another of their base.
    """
    if not len(parts):
        return alleles, Counter(), 0
    shared = np.isin(_bases(alleles), _bases(parts))
    single = last_of_each(np.concatenate([rare, alleles[shared]]), "alt")
    part = last_of_each(parts, "alt", "mnp")
    dropped = Counter(duplicate=len(rare) + int(shared.sum()) + len(parts) - len(single) - len(part))
    every = np.concatenate([single, part[list(ALLELE.names or ())].astype(ALLELE)])
    _, first, number = np.unique(_bases(every), return_index=True, return_inverse=True)
    sums = every[first]
    sums["frequency"] = np.bincount(number, every["frequency"])
    common = sums["frequency"] > min_af
    dropped["rare"] = int((~common).sum())
    return np.concatenate([alleles[~shared], sums[common]]), +dropped, len(every) - len(sums)


def _bases(alleles: np.ndarray) -> np.ndarray:
    """A number int64 (R,) for each position and alternative."""
    return alleles["pos0"] * 8 + alleles["alt"]


def _blocks(files: Iterable[Path]) -> Iterator[np.ndarray]:
    for path in files:
        with open(path, "rb") as file:
            while len(block := np.fromfile(file, ALLELE, ROWS)):
                yield block
