"""What an objective sees of a micro-batch on the host, before anything becomes a tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pretrain.data.raw_batch import RawBatch
from pretrain.masking import Masked
from pretrain.tokenizers import TokenBatch

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class SampleView:
    """S samples of N tokens: what they are, and which of their positions were selected."""

    reads: RawBatch
    tokens: TokenBatch  # ids before corruption
    masked: Masked
    sample: np.ndarray  # int64 (N,): the sample of each token
    variant_token: np.ndarray  # int64 (R,): flat token position of each variant of ``reads``
    weight: np.ndarray | None = None  # float32 (N,): what a target at each token counts for; None: one
    claimed: np.ndarray | None = None  # bool (M,): selected positions that are targets of another objective

    @property
    def free_positions(self) -> np.ndarray:
        """Selected positions that no other objective claims, ascending int64."""
        return self.masked.positions if self.claimed is None else self.masked.positions[~self.claimed]

    def weight_at(self, positions: np.ndarray) -> np.ndarray | None:
        """What targets at flat positions (M,) count for, float32 (M,); None: one each."""
        return None if self.weight is None else self.weight[positions]

    def without(self, claimed: np.ndarray) -> SampleView:
        """The same view where some selected positions, bool (M,), belong to somebody else."""
        return replace(self, claimed=claimed)


@dataclass(frozen=True)
class Targets:
    """What one objective compares with: ``arrays["index"]`` are flat token positions (M,), the rest is its own.

    An objective without a target in a batch still takes one position with a target that contributes nothing: every rank
    must use every parameter in every step, or collectives stop matching.

    Attributes:
        arrays: M rows each, except those whose name begins with ``soft_``.
        denominator: what its sum is divided by: the number of targets, or the sum of their weights. 0: nothing to
            learn. Weights are float32, so their float64 sums are exact and do not depend on the order of ranks.
        by_group: the same for each group of targets, float64 (G,); None: one group.
    """

    arrays: Arrays
    denominator: float
    by_group: np.ndarray | None = None

    @property
    def count(self) -> int:
        """How many targets there are, whatever they weigh."""
        return len(self.arrays["index"]) if self.denominator else 0

    @property
    def denominators(self) -> np.ndarray:
        """float64 (G,)."""
        return np.array([self.denominator]) if self.by_group is None else self.by_group
