"""Score maps for callers who want to see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pretrain.models.layout import Layout
from pretrain.models.transformer.recurrent.attention import Recurrent
from pretrain.models.transformer.recurrent.recomputed import Scores


def score_maps(biases: Sequence[object], layout: Layout, heads: int) -> dict[str, Any]:
    """Collect the scores of all layers.

    Returns:
        ``scores``: for each of the S sequences in batch order (L+1, H, T, T); index 0 is the bias of the first layer.
        Empty if the scores never exist as a tensor.
    """
    scores = [bias.scores for bias in biases if isinstance(bias, Recurrent) and isinstance(bias.scores, Scores)]
    if not scores:
        return {}
    by_layer = [layer.kernel.maps(layer.packed, layout, heads) for layer in scores]
    by_sequence: list[Tensor] = [torch.empty(0)] * len(layout.sequences)
    for number, maps in zip(layout.sequences, zip(*by_layer, strict=True), strict=True):
        by_sequence[number] = torch.stack(maps)
    return {"scores": by_sequence}
