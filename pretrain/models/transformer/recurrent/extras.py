"""Score maps for callers who want to see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pretrain.models.layout import Layout
from pretrain.models.transformer.recurrent.attention import Recurrent
from pretrain.models.transformer.recurrent.recomputed import Scores


def score_maps(biases: Sequence[object], layout: Layout) -> dict[str, Any]:
    """Collect the scores of all layers.

    Returns:
        ``scores``: for each of the S sequences in batch order (L+1, H, T, T); index 0 is the bias of the first layer.
        Empty if the scores never exist as a tensor.
    """
    scores = [bias.scores.packed for bias in biases if isinstance(bias, Recurrent) and isinstance(bias.scores, Scores)]
    return {"scores": _by_sequence(scores, layout)} if scores else {}


def _by_sequence(packed: list[Tensor], layout: Layout) -> list[Tensor]:
    """Per layer flat (H * pairs,) -> per sequence in batch order (L+1, H, T, T)."""
    by_sequence: list[Tensor] = [torch.empty(0)] * len(layout.sequences)
    blocks = [layout.split_pairs(scores, len(scores) // layout.pairs) for scores in packed]
    numbers = iter(layout.sequences)
    for g, group in enumerate(layout.groups):
        for row, length in enumerate(group.lengths):
            by_sequence[next(numbers)] = torch.stack([layer[g][row, :, :length, :length] for layer in blocks])
    return by_sequence
