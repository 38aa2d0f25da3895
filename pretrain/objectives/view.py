"""A micro-batch on the host as objectives see it, before anything becomes a tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pretrain.data.raw_batch import RawBatch
from pretrain.masking import Masked
from pretrain.tokenizers import TokenBatch

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class SampleView:
    """S samples of N tokens, and the positions of them that were selected."""

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
        """Return the weights of targets at flat positions (M,), float32 (M,); None: one each."""
        return None if self.weight is None else self.weight[positions]

    def without(self, claimed: np.ndarray) -> SampleView:
        """Return the view without the selected positions, bool (M,), that another objective claims."""
        return replace(self, claimed=claimed)


@dataclass(frozen=True)
class Targets:
    """Targets of one objective: ``arrays["index"]`` are flat token positions (M,), the rest is its own.

    An objective without a target in a batch still takes one position with a target that contributes nothing: every rank
    must use every parameter in every step, or collectives stop matching.

    Attributes:
        arrays: M rows each, except those whose name begins with ``soft_``.
        denominator: divisor of the sum: the number of targets, or the sum of their weights. 0: nothing to
            learn. Weights are float32, so their float64 sums are exact and do not depend on the order of ranks.
        by_group: the denominator of each group of targets, float64 (G,); None: one group.
    """

    arrays: Arrays
    denominator: float
    by_group: np.ndarray | None = None

    @property
    def count(self) -> int:
        """Number of targets, whatever their weights."""
        return len(self.arrays["index"]) if self.denominator else 0

    @property
    def denominators(self) -> np.ndarray:
        """Denominator of each group, float64 (G,)."""
        return np.array([self.denominator]) if self.by_group is None else self.by_group
