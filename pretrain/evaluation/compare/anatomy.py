"""Vocabularies, sizes and tensors of two models, key by key."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from pretrain.evaluation.model import TrainedModel


def compare_tokens(ours: TrainedModel, published: TrainedModel) -> dict[str, Any]:
    """Tell whether every id is the same token."""
    a, b = ours.tokenizer.vocab, published.tokenizer.vocab
    first = next((number for number, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    return {"ours": len(a), "published": len(b), "same": a == b, "first_difference": first}


def compare_sizes(ours: TrainedModel, published: TrainedModel) -> dict[str, Any]:
    """Settings of both encoders that differ (dropout does not count: it is no part of a finished model), parameters."""
    a, b = asdict(ours.settings), asdict(published.settings)
    differing = {key: [a[key], b[key]] for key in a if a[key] != b[key] and not key.endswith("_dropout_prob")}
    return {
        "same": not differing,
        "differing": differing,
        "parameters": [sum(p.numel() for p in model.network.parameters()) for model in (ours, published)],
    }


def compare_weights(ours: TrainedModel, published: TrainedModel) -> dict[str, Any]:
    """Tensors of one name and shape: the largest difference, and ||a - b|| / ||b||, over all and by name."""
    a, b = ours.network.state_dict(), published.network.state_dict()
    if not (ours.has_output_head and published.has_output_head):
        a, b = ({name: value for name, value in state.items() if name.startswith("encoder.")} for state in (a, b))
    shared = [name for name in b if name in a and a[name].shape == b[name].shape]
    rows = {name: _difference(a[name], b[name]) for name in shared}
    squares = [sum(float(part) ** 2 for part in column) for column in zip(*_norms(a, b, shared), strict=True)]
    return {
        "compared": len(shared),
        "only_ours": sorted(set(a) - set(b)),
        "only_published": sorted(set(b) - set(a)),
        "other_shape": [name for name in b if name in a and a[name].shape != b[name].shape],
        "largest_difference": max((row["largest"] for row in rows.values()), default=None),
        "relative_difference": (squares[0] / squares[1]) ** 0.5 if shared and squares[1] else None,
        "by_name": rows,
    }


def _difference(a: Tensor, b: Tensor) -> dict[str, float]:
    a, b = a.double().flatten(), b.double().flatten()
    norm = float(b.norm())
    return {
        "largest": float((a - b).abs().max()),
        "relative": float((a - b).norm()) / norm if norm else float("inf") if float(a.norm()) else 0.0,
        "cosine": float(torch.nn.functional.cosine_similarity(a, b, dim=0)) if norm and float(a.norm()) else 0.0,
    }


def _norms(a: dict[str, Tensor], b: dict[str, Tensor], names: list[str]) -> list[tuple[float, float]]:
    """(||a - b||, ||b||) of each tensor."""
    return [(float((a[name].double() - b[name].double()).norm()), float(b[name].double().norm())) for name in names]
