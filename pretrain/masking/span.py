"""Span masking: runs of neighboring tokens (RNAErnie's subsequence level)."""

from __future__ import annotations

import numpy as np

from pretrain.masking.budget import Candidates, take_within_budget, top_up_with_single_tokens
from pretrain.masking.masked import Masked, SideInformation
from pretrain.masking.replacement import build_replacement
from pretrain.masking.selection import position_counts, shuffled
from pretrain.masking.settings import SpanSettings
from pretrain.rng import SampleRng
from pretrain.tokenizers.batch import TokenBatch, Tokenizer, ragged_arange

_UPSTREAM_BORDER = 9  # tokens at the end that upstream's spans never reach


class SpanMasking:
    """Spans of min_length to max_length tokens at random starts until the budget is spent."""

    def __init__(self, settings: SpanSettings, tokenizer: Tokenizer):
        self._settings = settings
        self._replace = build_replacement(settings, tokenizer)
        weights = 1.0 / np.arange(1, settings.max_length - settings.min_length + 2)
        self._cumulative = np.cumsum(weights / weights.sum())

    def __call__(self, tokens: TokenBatch, side: SideInformation, rng: SampleRng) -> Masked:
        """Select spans and corrupt them, see ``MaskingStrategy``."""
        settings = self._settings
        letters = tokens.per_sequence(tokens.maskable)
        budgets = position_counts(settings.count, settings.rate, letters, rng.uniform("count"))
        limits = np.maximum(letters - _UPSTREAM_BORDER, 0) if settings.upstream_cut else letters
        counts = limits if settings.upstream_cut else np.maximum(letters - settings.min_length + 1, 0)
        where = ragged_arange(_first_letters(tokens), counts)
        order = where[shuffled(tokens.sequence[where], rng.token_bits("select", tokens.offsets)[where])]
        drawn = settings.min_length + np.searchsorted(
            self._cumulative[:-1], rng.token_uniform("length", tokens.offsets)[order], side="right"
        )
        taken = take_within_budget(
            span_candidates(tokens, order, drawn, counts, limits, settings.min_length), budgets, len(tokens.ids)
        )
        positions = (
            top_up_with_single_tokens(tokens, taken, budgets, rng)
            if settings.shortfall == "fill"
            else np.flatnonzero(taken)
        )
        return self._replace(tokens, positions, rng)


def span_candidates(
    tokens: TokenBatch, start: np.ndarray, length: np.ndarray, counts: np.ndarray, limits: np.ndarray, min_length: int
) -> Candidates:
    """Build candidates from drawn spans, cut where they would pass the limit of their sequence.

    Args:
        tokens: the batch.
        start: int64 (K,), flat, in the order in which they are tried, grouped by sequence.
        length: int64 (K,), as drawn.
        counts: starts of each sequence, (S,).
        limits: where spans of each sequence must have ended, counted from its first letter, (S,).
        min_length: shortest span that is not cut.
    """
    room = np.repeat(_first_letters(tokens) + limits, counts) - start
    offsets = np.concatenate(([0], np.cumsum(counts)))
    return Candidates(start, np.minimum(min_length, room), np.minimum(length, room), offsets)


def _first_letters(tokens: TokenBatch) -> np.ndarray:
    """Flat position of the first token after the leading special one, int64 (S,)."""
    return tokens.offsets[:-1] + 1
