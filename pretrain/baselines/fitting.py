"""Reading training micro-batches until a baseline has seen enough of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from pretrain.batches.collate import MicroBatch


def read_targets(
    name: str, train: Iterable[MicroBatch], features_of: Callable[[MicroBatch], np.ndarray], enough: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Read features and targets of an objective.

    Args:
        name: the objective.
        train: training micro-batches.
        features_of: micro-batch -> features (M, ...) of its targets.
        enough: reading stops at so many targets.

    Returns:
        Features and targets (M,) of each micro-batch that has targets.
    """
    features, targets, count = [], [], 0
    for batch in train:
        if batch.counts[name]:
            features.append(features_of(batch))
            targets.append(batch.targets[name]["target"].numpy())
            count += len(targets[-1])
            if count >= enough:
                break
    return features, targets
