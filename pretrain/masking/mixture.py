"""A mixture: one strategy per sample, drawn by weight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pretrain.masking.masked import Masked, MaskingStrategy, SideInformation
from pretrain.rng import SampleRng
from pretrain.tokenizers.batch import TokenBatch


class MixtureMasking:
    """Draws one part for each sample and applies each part to its samples.

    Args:
        parts: the strategies.
        weights: share of each, relative to the others.
    """

    def __init__(self, parts: Sequence[MaskingStrategy], weights: Sequence[float]):
        self._components = parts
        self._cumulative = np.cumsum(weights) / np.sum(weights)

    def __call__(self, tokens: TokenBatch, side: SideInformation, rng: SampleRng) -> Masked:
        """Apply to each sample the part that it drew."""
        drawn = np.searchsorted(self._cumulative[:-1], rng.uniform("mixture"), side="right").astype(np.uint8)
        input_ids = tokens.ids.copy()
        selected = np.zeros(len(tokens.ids), bool)
        replaced = np.zeros(len(tokens.ids), bool)
        for number, part in enumerate(self._components):
            samples = np.flatnonzero(drawn == number)
            if len(samples) == 0:
                continue
            own, where = tokens.take(samples)
            masked = part(own, _only_variants(side, where), SampleRng(rng.keys[samples]))
            input_ids[where] = masked.input_ids
            selected[where[masked.positions]] = True
            replaced[where[masked.positions[masked.replaced]]] = True
        positions = np.flatnonzero(selected)
        return Masked(positions, input_ids, replaced[positions], drawn)


def _only_variants(side: SideInformation, where: np.ndarray) -> SideInformation:
    """Positions ``where``, ascending int64 (N',), become 0, 1, ...; those elsewhere are left out."""
    _, _, kept = np.intersect1d(side.variant_positions, where, assume_unique=True, return_indices=True)
    return SideInformation(kept)
