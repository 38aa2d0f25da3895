"""Randomness without state: every draw is a hash of what it belongs to.

The fate of a sample (crop, mask, replacement) must not depend on rank, world size, worker, batch or resume. So there is
no generator to carry around: a draw is ``mix(seed, epoch, sample, purpose, token)``, computed for a whole ragged batch
at once. The mixer is the output function of SplitMix64 (Steele, Lea, Flood 2014), a counter-based generator:
consecutive counters give independent 64-bit words.
"""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np

_GOLDEN, _MIX1, _MIX2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = 2**64 - 1
_U11, _U27, _U30, _U31 = (np.uint64(n) for n in (11, 27, 30, 31))
_U_GOLDEN, _U_MIX1, _U_MIX2 = (np.uint64(n) for n in (_GOLDEN, _MIX1, _MIX2))
_TO_UNIT = float(2.0**-53)


def mix(x: np.ndarray) -> np.ndarray:
    """Apply the SplitMix64 output function elementwise to uint64."""
    x = x ^ (x >> _U30)
    x *= _U_MIX1
    x ^= x >> _U27
    x *= _U_MIX2
    x ^= x >> _U31
    return x


def _mix_one(x: int) -> int:
    """The same for one number; numpy would take ten times as long."""
    x = ((x ^ (x >> 30)) * _MIX1) & _WORD
    x = ((x ^ (x >> 27)) * _MIX2) & _WORD
    return x ^ (x >> 31)


def _combine(key: np.ndarray, value: np.ndarray) -> np.ndarray:
    """A new key from a key and a number, int64 (S,); order matters, so (1, 2) and (2, 1) differ."""
    return mix(key * _U_GOLDEN + mix(value.astype(np.int64).astype(np.uint64) + _U_GOLDEN))


def _combine_one(key: int, value: int) -> int:
    """The same for one key."""
    return _mix_one((key * _GOLDEN + _mix_one((value + _GOLDEN) & _WORD)) & _WORD)


@cache
def _purpose_word(purpose: str) -> int:
    return zlib.crc32(purpose.encode()) | (len(purpose) << 32)


@cache
def _purpose_term(purpose: str) -> np.uint64:
    """What a purpose adds to a key before it is mixed."""
    return np.uint64(_mix_one(_purpose_word(purpose) + _GOLDEN & _WORD))


def sample_keys(seed: int, epoch: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return keys of samples, uint64 (S,), from a run seed, epochs (S,) and sample indices (S,)."""
    base = np.array([_combine_one(0, seed)], np.uint64)
    return _combine(_combine(base, epoch), index)


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed from numbers and names, for generators of other libraries (``torch.manual_seed``)."""
    key = 0
    for part in parts:
        key = _combine_one(key, _purpose_word(part) if isinstance(part, str) else part)
    return key >> 1


class SampleRng:
    """The random numbers of a batch of samples.

    Args:
        keys: uint64 (S,), from :func:`sample_keys`.

    A draw is named by its purpose; the same purpose gives the same numbers again, another purpose independent ones.
    """

    def __init__(self, keys: np.ndarray):
        self.keys = keys

    def bits(self, purpose: str) -> np.ndarray:
        """Return one word per sample, uint64 (S,)."""
        return mix(self.keys * _U_GOLDEN + _purpose_term(purpose))

    def uniform(self, purpose: str) -> np.ndarray:
        """Return one number per sample, float64 (S,) in [0, 1)."""
        return (self.bits(purpose) >> _U11) * _TO_UNIT

    def token_bits(self, purpose: str, offsets: np.ndarray) -> np.ndarray:
        """Return one word per token of a ragged batch with offsets int64 (S+1,): uint64 (N,).

        Token j of a sample gets word j of that sample's stream, so its value does not depend on its neighbors in the
        batch, nor on the length of its own sample.
        """
        # counter of token t = start + (t - offset) * golden: one repeat and one running counter, no loop
        starts = self.bits(purpose) - offsets[:-1].astype(np.uint64) * _U_GOLDEN
        words = np.repeat(starts, np.diff(offsets))
        words += np.arange(1, len(words) + 1, dtype=np.uint64) * _U_GOLDEN
        return mix(words)

    def bits_at(self, purpose: str, offsets: np.ndarray, tokens: np.ndarray, sample: np.ndarray) -> np.ndarray:
        """Return the words of :meth:`token_bits` at some flat tokens, int64 (M,), of samples int64 (M,)."""
        starts = self.bits(purpose) - (offsets[:-1] - 1).astype(np.uint64) * _U_GOLDEN
        return mix(starts[sample] + tokens.astype(np.uint64) * _U_GOLDEN)

    def token_uniform(self, purpose: str, offsets: np.ndarray) -> np.ndarray:
        """Return one number per token of a ragged batch with offsets int64 (S+1,): float64 (N,) in [0, 1)."""
        return (self.token_bits(purpose, offsets) >> _U11) * _TO_UNIT

    def generator(self, sample: int, purpose: str) -> np.random.Generator:
        """Return a NumPy generator of one sample, for algorithms that are sequential within a sample."""
        return np.random.Generator(np.random.Philox(key=int(self.bits(purpose)[sample])))
