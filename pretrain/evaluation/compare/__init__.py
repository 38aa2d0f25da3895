"""Comparison of two models: tokens, sizes, weights, hidden states and losses side by side."""

from __future__ import annotations

from typing import Any

from pretrain.evaluation.compare.anatomy import compare_sizes, compare_tokens, compare_weights
from pretrain.evaluation.compare.losses import compare_losses
from pretrain.evaluation.compare.states import compare_states, probe_sequences
from pretrain.evaluation.model import TrainedModel


def compare(
    ours: TrainedModel, published: TrainedModel, corpus: str | None, settings: list[str], sequences: int
) -> dict[str, Any]:
    """Compare everything that can be compared, as plain data; a part that cannot be is None.

    Args:
        ours: a model.
        published: the model it is compared with.
        corpus: folder whose held-out records both models read with the same masks; None: no losses, and hidden states
            on made-up sequences.
        settings: overrides of the config that masks and batches follow (that of ``ours``).
        sequences: at most this many held-out records.
    """
    tokens, sizes = compare_tokens(ours, published), compare_sizes(ours, published)
    same_input = tokens["same"]
    return {
        "ours": ours.source,
        "published": published.source,
        "families": [ours.family.name, published.family.name],
        "tokens": tokens,
        "sizes": sizes,
        "weights": compare_weights(ours, published),
        "states": compare_states(ours, published, probe_sequences(ours, corpus)) if same_input else None,
        "losses": compare_losses(ours, published, corpus, settings, sequences) if same_input and corpus else None,
    }


__all__ = ["compare"]
