"""Input and output of a masking strategy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pretrain.rng import SampleRng
from pretrain.tokenizers.batch import TokenBatch


@dataclass(frozen=True)
class SideInformation:
    """Input that some strategies need besides the tokens."""

    # int64: flat token positions that have more than one allele
    variant_positions: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class Masked:
    """A corrupted batch. The targets of masked language modeling are ``tokens.ids[positions]``."""

    positions: np.ndarray  # int64 (M,), ascending: the selected positions, whatever they were replaced with
    input_ids: np.ndarray  # int32 (N,): ids after corruption
    replaced: np.ndarray  # bool (M,): the position got the mask token or a random token (False: kept as it was)
    strategy: np.ndarray  # uint8 (S,): which part of a mixture made it, 0 elsewhere


class MaskingStrategy(Protocol):
    """A selection rule: it chooses positions and corrupts them, given only each sample and its random stream."""

    def __call__(self, tokens: TokenBatch, side: SideInformation, rng: SampleRng) -> Masked:
        """Select positions of each sequence and corrupt them, with draws of ``rng`` only."""
