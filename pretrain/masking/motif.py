"""Motif masking: whole binding motifs and other known words (RNAErnie's motif level)."""

from __future__ import annotations

import numpy as np

from pretrain.errors import PolymeraseError
from pretrain.masking.budget import Candidates, take_within_budget, top_up_with_single_tokens
from pretrain.masking.masked import Masked, SideInformation
from pretrain.masking.motif_finder import Matches, MotifFinder
from pretrain.masking.motif_list import load_motifs
from pretrain.masking.replacement import build_replacement
from pretrain.masking.selection import position_counts, shuffled
from pretrain.masking.settings import MotifSettings
from pretrain.rng import SampleRng, mix
from pretrain.tokenizers.batch import TokenBatch, Tokenizer


class MotifMasking:
    """All matches of the lists in random order; each is masked whole while it is free and the budget lasts."""

    def __init__(self, settings: MotifSettings, tokenizer: Tokenizer):
        if tokenizer.nucleotides_per_token != 1:
            raise PolymeraseError(
                f"masking.strategy motif needs a tokenizer with one token per nucleotide, not {tokenizer.name}"
            )
        self._settings = settings
        self._replace = build_replacement(settings, tokenizer)
        self._weights = np.array([database.weight for database in settings.databases])
        lists = [
            load_motifs(database.files, settings.alphabet, tokenizer, settings.min_length)
            for database in settings.databases
        ]
        self.finder = MotifFinder(lists, tokenizer)

    def __call__(self, tokens: TokenBatch, side: SideInformation, rng: SampleRng) -> Masked:
        """Select whole motifs and corrupt them, see ``MaskingStrategy``."""
        settings = self._settings
        letters = tokens.per_sequence(tokens.maskable)
        budgets = position_counts(settings.count, settings.rate, letters, rng.uniform("count"))
        matches = self.finder.find(tokens)
        sequence = tokens.sequence[matches.start]
        # the draw of a match belongs to its place and length, not to its number among the matches
        words = rng.token_bits("select", tokens.offsets)[matches.start]
        words = mix(words ^ (matches.length.astype(np.uint64) << np.uint64(48)))
        keys = self._keys(matches.databases, sequence, len(letters), (words >> np.uint64(11)) * 2.0**-53)
        # the bits of positive numbers sort like the numbers
        priority = keys.astype(np.float32).view(np.uint32).astype(np.uint64) << np.uint64(33)
        order = shuffled(sequence, priority)
        taken = take_within_budget(match_candidates(matches, sequence, order, len(letters)), budgets, len(tokens.ids))
        positions = (
            top_up_with_single_tokens(tokens, taken, budgets, rng)
            if settings.shortfall == "fill"
            else np.flatnonzero(taken)
        )
        return self._replace(tokens, positions, rng)

    def _keys(self, databases: np.ndarray, sequence: np.ndarray, sequences: int, uniform: np.ndarray) -> np.ndarray:
        """Numbers (K,) >= 0 that put each sequence's matches in order, database by database or mixed by weight.

        Args:
            databases: uint8 (K,), bit set of the databases that have the motif.
            sequence: int64 (K,).
            sequences: how many there are.
            uniform: (K,) in [0, 1).
        """
        sets = np.arange(1 << len(self._weights))
        has = sets[:, None] >> np.arange(len(self._weights)) & 1  # (bit sets, databases)
        if self._settings.order == "in_turn":
            return np.argmax(has, axis=1)[databases] + uniform
        # An exponential race: a match waits a time of rate weight / matches of its database in this sequence. The
        # first to arrive is then of database d with the share of d's weight.
        cell = sequence * len(sets) + databases
        counts = np.bincount(cell, minlength=sequences * len(sets)).reshape(sequences, len(sets)) @ has
        rates = (self._weights / np.maximum(counts, 1)) @ has.T  # (sequences, bit sets)
        return -np.log1p(-uniform) / rates.ravel()[cell]


def match_candidates(matches: Matches, sequence: np.ndarray, order: np.ndarray, sequences: int) -> Candidates:
    """Order matches, each of fixed length, as candidates by sequence.

    Args:
        matches: of all sequences.
        sequence: int64 (K,), sequence of each match.
        order: int64 (K,), the order in which they are tried.
        sequences: S.
    """
    offsets = np.concatenate(([0], np.cumsum(np.bincount(sequence, minlength=sequences))))
    length = matches.length[order]
    return Candidates(matches.start[order], length, length, offsets)
