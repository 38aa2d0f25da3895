"""Weights of targets per token, from the weights of their nucleotides."""

from __future__ import annotations

import numpy as np

from pretrain.data.raw_batch import RawBatch
from pretrain.tokenizers import Measured, TokenBatch, Tokenizer


def token_weights(raw: RawBatch, tokens: TokenBatch, tokenizer: Tokenizer) -> np.ndarray | None:
    """Return the mean weight of the nucleotides of each token, float32 (N,); specials 1. None if all weights are 1."""
    if raw.weights is None:
        return None
    weights = np.ones(len(tokens.ids), np.float32)
    where = np.flatnonzero(tokens.maskable)
    first = raw.sequences.offsets[tokens.sequence[where]] + tokens.nucleotide[where]
    if tokenizer.nucleotides_per_token == 1:
        weights[where] = raw.weights[first]
        return weights
    if isinstance(tokenizer.lengths, Measured):
        assert isinstance(tokens.advance, np.ndarray)
        span = tokens.advance[tokens.ids[where]]
    else:
        span = np.full(len(where), tokenizer.lengths.k)
    running = np.zeros(len(raw.weights) + 1, np.float64)
    np.cumsum(raw.weights, out=running[1:])
    weights[where] = (running[first + span] - running[first]) / span
    return weights
