"""Hidden states of two models on the same sequences, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from data_prep.corpus import Ragged
from pretrain.data.ragged import slices
from pretrain.data.sources import open_checked
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.passes import batches_of, pack

_SEQUENCES, _LONGEST = 48, 200
_TOKENS = 4000  # that similarities are computed on


def probe_sequences(model: TrainedModel, corpus: str | None) -> Ragged:
    """Return the first held-out records of a corpus (training records if nothing is held out), or made-up sequences."""
    longest = min(_LONGEST, model.tokenizer.max_nucleotides(model.max_tokens))
    opened = open_checked(corpus) if corpus else None
    if opened is None or opened.kind != "sequences":
        draw = np.random.default_rng(0)
        rows = [bytes(draw.choice(list(b"ACGU"), longest - n).tolist()) for n in range(16)]
        return Ragged.from_rows(rows)
    split = "validation" if "validation" in opened.splits and len(opened.split("validation")) else "train"
    table = opened.split(split)
    fits = np.flatnonzero(table.lengths >= model.tokenizer.min_nucleotides)[:_SEQUENCES]
    found = table.gather(fits)
    return slices(found, np.zeros(len(found), np.int64), np.minimum(found.lengths, longest))


def compare_states(ours: TrainedModel, published: TrainedModel, sequences: Ragged) -> dict[str, Any]:
    """Compare hidden states per layer (0 after the embeddings).

    Largest and relative difference if the widths are equal, and linear CKA (Kornblith et al. 2019; 1 if one is a
    rotation of the other), of which independently trained models share a part. Models of different depth are compared
    at their last layers only.
    """
    a, b = _states(ours, sequences), _states(published, sequences)
    pairs = list(zip(a, b, strict=True)) if len(a) == len(b) else [(a[-1], b[-1])]
    return {
        "sequences": len(sequences),
        "layers": [
            {
                "largest": float(np.abs(x - y).max()) if x.shape == y.shape else None,
                "relative": float(np.linalg.norm(x - y) / np.linalg.norm(y)) if x.shape == y.shape else None,
                "cka": _cka(x[:_TOKENS], y[:_TOKENS]),
            }
            for x, y in pairs
        ],
    }


def _states(model: TrainedModel, sequences: Ragged) -> list[np.ndarray]:
    """float64 (N, D) of each of the L + 1 layers."""
    tokens = model.tokenizer.encode(sequences)
    parts, start = [], 0
    for count in batches_of(model, tokens.lengths):
        lengths = tokens.lengths[start : start + count].tolist()
        ids = tokens.ids[tokens.offsets[start] : tokens.offsets[start + count]]
        with torch.no_grad():
            states = model.network.encoder(pack(model, ids, lengths), return_states=True).states
        assert states is not None
        parts.append([state.double().cpu().numpy() for state in states])
        start += count
    return [np.concatenate(layer) for layer in zip(*parts, strict=True)]


def _cka(x: np.ndarray, y: np.ndarray) -> float:
    """||Y^T X||^2 / (||X^T X|| ||Y^T Y||) of centered columns."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    both = np.linalg.norm(y.T @ x) ** 2
    alone = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(both / alone) if alone else 0.0
