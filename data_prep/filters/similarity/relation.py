"""When two nucleotide sequences are relatives: one definition for clusters, leakage and their tests."""

from dataclasses import dataclass

import numpy as np

from data_prep.errors import DataPrepError

STRANDS = ("both", "same")
LEAST_IDENTITY = 0.5  # unrelated sequences come close to this once gaps are allowed
# Best scores of unrelated sequences follow K m n exp(-LAMBDA score) (Karlin and Altschul 1990). Both numbers are those
# of the scores in `alignment.py`, from random pairs of 400 letters in a band of 32 (of 120 in one of 8: 0.56, 0.16).
LAMBDA, K = 0.55, 0.15
BY_CHANCE = 1e-3  # so many relatives may one sequence have by chance among all that it is compared with


@dataclass(frozen=True)
class Relation:
    """Relatives have a local alignment with at least `identity` equal letters per column (gaps are columns).

    The alignment holds at least `coverage` of the letters of the shorter sequence and is no work of chance
    (`least_scores`). strand: "both" tries the reverse complement too, "same" does not. Raises DataPrepError for values
    that make no sense.
    """

    identity: float = 0.8
    coverage: float = 0.8
    strand: str = "both"

    def __post_init__(self) -> None:
        if not LEAST_IDENTITY <= self.identity <= 1:
            raise DataPrepError(f"identity: expected a share from {LEAST_IDENTITY} to 1, got {self.identity:g}")
        if not 0 < self.coverage <= 1:
            raise DataPrepError(f"coverage: expected a share above 0 and up to 1, got {self.coverage:g}")
        if self.strand not in STRANDS:
            raise DataPrepError(f"strand: expected one of {', '.join(STRANDS)}, got {self.strand!r}")

    @property
    def both_strands(self) -> bool:
        """Whether the reverse complement of a sequence is the same molecule."""
        return self.strand == "both"

    def least_scores(self, shorter_nt: np.ndarray, letters: int) -> np.ndarray:
        """float64 (P,): below it an alignment of a sequence may be chance, if `letters` are compared with it."""
        cells = shorter_nt * float(letters * (1 + self.both_strands))
        return np.log(np.maximum(K * cells / BY_CHANCE, 1)) / LAMBDA

    def identities(self, aligned: np.ndarray, shorter_nt: np.ndarray, letters: int) -> np.ndarray:
        """float64 (P,): identity of each alignment int64 (P, 4) of `align`; 0: it covers too little, or is chance."""
        score, equal, columns, covered = aligned.T
        enough = covered >= self.coverage * shorter_nt - 1e-9
        enough &= score >= self.least_scores(shorter_nt, letters)
        return np.where(enough, equal / np.maximum(columns, 1), 0.0)

    def holds(self, identities: np.ndarray) -> np.ndarray:
        """Which pairs are relatives, bool (P,)."""
        return identities >= self.identity - 1e-9
