"""When two nucleotide sequences are relatives: one definition for clusters, leakage and their tests."""

from dataclasses import dataclass

import numpy as np

from data_prep.errors import DataPrepError

STRANDS = ("both", "same")
LEAST_IDENTITY = 0.5  # unrelated sequences come close to this once gaps are allowed


@dataclass(frozen=True)
class Relation:
    """Relatives have a local alignment with at least `identity` equal letters per column (gaps are columns).

    It holds at least `coverage` of the letters of the shorter sequence. strand: "both" tries the reverse complement
    too, "same" does not. Raises DataPrepError for values that make no sense.
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

    def identities(self, aligned: np.ndarray, shorter_nt: np.ndarray) -> np.ndarray:
        """float64 (P,): identity of each alignment int64 (P, 3) of `align`, 0 where it covers too little."""
        equal, columns, covered = aligned.T
        enough = covered >= self.coverage * shorter_nt - 1e-9
        return np.where(enough, equal / np.maximum(columns, 1), 0.0)

    def holds(self, identities: np.ndarray) -> np.ndarray:
        """bool (P,)"""
        return identities >= self.identity - 1e-9
