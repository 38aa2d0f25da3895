"""Groups of selected tokens: a target is hidden, or it is shown (kept, or a random token)."""

from __future__ import annotations

import numpy as np

from pretrain.objectives.base import ObjectiveContext
from pretrain.objectives.view import SampleView

HIDDEN, SHOWN = "hidden", "shown"


def group_labels(context: ObjectiveContext) -> tuple[tuple[str, ...], ...]:
    """Return the labels of the groups: every masking strategy, hidden and then shown."""
    return tuple((visibility, strategy) for visibility in (HIDDEN, SHOWN) for strategy in context.strategies)


def groups_of(view: SampleView, positions: np.ndarray, context: ObjectiveContext) -> np.ndarray:
    """Return the group of each selected position int64 (M,): the model sees the mask token there, or a token."""
    shown = view.masked.input_ids[positions] != context.mask_id
    return shown * len(context.strategies) + view.masked.strategy[view.sample[positions]].astype(np.int64)
