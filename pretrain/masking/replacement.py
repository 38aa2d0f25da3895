"""Replacement of selected positions: the mask token, a random token, or none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pretrain.errors import PolymeraseError
from pretrain.masking.masked import Masked
from pretrain.masking.settings import ReplacementSettings
from pretrain.rng import SampleRng
from pretrain.tokenizers.batch import TokenBatch, Tokenizer

_U32 = np.uint64(32)


@dataclass(frozen=True)
class Replacement:
    """Independent draw per selected token (also inside spans and motifs), as all published recipes do."""

    mask_id: int
    mask_fraction: float
    random_fraction: float
    random_ids: np.ndarray  # int32: what a random token is drawn from, uniformly
    # int64 (V,): where each id stands in random_ids, -1: nowhere; None: a random token may equal the original
    place_of_id: np.ndarray | None = None

    def __call__(self, tokens: TokenBatch, positions: np.ndarray, rng: SampleRng) -> Masked:
        """Corrupt the selected positions, int64 (M,) ascending."""
        bits = rng.bits_at("replacement", tokens.offsets, positions, tokens.sequence[positions])
        outcome = (bits >> _U32) * 2.0**-32  # upper half of the word: which; lower half: by what
        choice = self._choice(bits & np.uint64(0xFFFFFFFF), tokens.ids[positions])
        to_mask = outcome < self.mask_fraction
        to_random = ~to_mask & (outcome < self.mask_fraction + self.random_fraction)
        return corrupt(tokens, positions, to_mask, to_random, self.random_ids[choice], self.mask_id)

    def _choice(self, bits: np.ndarray, original: np.ndarray) -> np.ndarray:
        """Number of the random token for each selected one: uint64 (M,) below 2^32, ids (M,) -> uint64 (M,)."""
        count = np.uint64(len(self.random_ids))
        if self.place_of_id is None:
            return (bits * count) >> _U32
        place = self.place_of_id[original]  # left out: of those behind it, each moves up by one
        among = place >= 0
        choice = (bits * (count - among.astype(np.uint64))) >> _U32
        return choice + (among & (choice.astype(np.int64) >= place)).astype(np.uint64)


def corrupt(
    tokens: TokenBatch,
    positions: np.ndarray,
    to_mask: np.ndarray,
    to_random: np.ndarray,
    random_tokens: np.ndarray,
    mask_id: int,
) -> Masked:
    """Apply given draws: positions int64 (M,), to_mask and to_random bool (M,), random_tokens (M,)."""
    input_ids = tokens.ids.copy()
    input_ids[positions[to_mask]] = mask_id
    input_ids[positions[to_random]] = random_tokens[to_random]
    return Masked(positions, input_ids, to_mask | to_random, np.zeros(len(tokens.offsets) - 1, np.uint8))


def build_replacement(settings: ReplacementSettings, tokenizer: Tokenizer) -> Replacement:
    """Build the replacement that a strategy's settings describe, for one vocabulary."""
    size = len(tokenizer.vocab)
    if settings.random_ids == "nucleotides":
        random_ids = tokenizer.nucleotide_ids
    else:
        first = int(settings.random_ids.partition(":")[2])
        if first >= size:
            raise PolymeraseError(f"masking.random_ids {settings.random_ids!r}: {tokenizer.name} has only {size} ids")
        random_ids = np.arange(first, size, dtype=np.int32)
    place = None
    if settings.random_differs:
        if settings.random_fraction == 0.0:
            raise PolymeraseError("masking.random_differs has no effect with masking.random_fraction=0; leave it out")
        place = np.full(size, -1, np.int64)
        place[random_ids] = np.arange(len(random_ids))
    return Replacement(tokenizer.mask_id, settings.mask_fraction, settings.random_fraction, random_ids, place)
