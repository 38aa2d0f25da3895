"""Randomness without state: every draw is a hash of what it belongs to.

What happens to a sample (crop, mask, replacement) must not depend on rank, world size, worker, batch or resume. So
there is no generator to carry around: a draw is ``mix(seed, epoch, sample, purpose, token)``, computed for a whole
ragged batch at once. The mixer is the output function of SplitMix64 (Steele, Lea, Flood 2014), a counter-based
generator: consecutive counters give independent 64-bit words.
"""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_U30, _U27, _U31, _U11 = (np.uint64(n) for n in (30, 27, 31, 11))
_TO_UNIT = float(2.0**-53)


def mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64 output function, elementwise on uint64."""
    x = x ^ (x >> _U30)
    x *= _MIX1
    x ^= x >> _U27
    x *= _MIX2
    x ^= x >> _U31
    return x


def _combine(key: np.ndarray, value: np.ndarray | int) -> np.ndarray:
    """A new key from a key and a number; order matters, so (1, 2) and (2, 1) differ."""
    with np.errstate(over="ignore"):
        word = np.asarray(value).astype(np.int64).astype(np.uint64)
        return mix(np.atleast_1d(key * _GOLDEN + mix(np.atleast_1d(word + _GOLDEN))))


@cache
def _purpose_word(purpose: str) -> int:
    return zlib.crc32(purpose.encode()) | (len(purpose) << 32)


def sample_keys(seed: int, epoch: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Keys of samples: uint64 (S,) from a run seed, epochs (S,) and sample indices (S,)."""
    base = _combine(np.zeros(1, np.uint64), seed)
    return _combine(_combine(base, epoch), index)


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from numbers and names, for generators of other libraries (``torch.manual_seed``)."""
    key = np.zeros(1, np.uint64)
    for part in parts:
        key = _combine(key, _purpose_word(part) if isinstance(part, str) else part)
    return int(key[0] >> np.uint64(1))


class SampleRng:
    """The random numbers of a batch of samples.

    Args:
        keys: uint64 (S,), from :func:`sample_keys`.

    A draw is named by its purpose; the same purpose gives the same numbers again, another purpose independent ones.
    """

    def __init__(self, keys: np.ndarray):
        self.keys = keys

    def bits(self, purpose: str) -> np.ndarray:
        """uint64 (S,): one word per sample."""
        return _combine(self.keys, _purpose_word(purpose))

    def uniform(self, purpose: str) -> np.ndarray:
        """float64 (S,) in [0, 1): one number per sample."""
        return (self.bits(purpose) >> _U11) * _TO_UNIT

    def token_bits(self, purpose: str, offsets: np.ndarray) -> np.ndarray:
        """uint64 (N,): one word per token of a ragged batch with offsets int64 (S+1,).

        Token j of a sample gets word j of that sample's stream, so its value does not depend on its neighbours in the
        batch, nor on the length of its own sample.
        """
        starts = self.bits(purpose)
        lengths = np.diff(offsets)
        with np.errstate(over="ignore"):
            # counter of token t = start + (t - offset) * golden: one repeat and one running counter, no loop
            starts = starts - offsets[:-1].astype(np.uint64) * _GOLDEN
            words = np.repeat(starts, lengths)
            words += np.arange(1, int(offsets[-1]) + 1, dtype=np.uint64) * _GOLDEN
            return mix(words)

    def token_uniform(self, purpose: str, offsets: np.ndarray) -> np.ndarray:
        """float64 (N,) in [0, 1): one number per token of a ragged batch with offsets int64 (S+1,)."""
        return (self.token_bits(purpose, offsets) >> _U11) * _TO_UNIT

    def generator(self, sample: int, purpose: str) -> np.random.Generator:
        """A NumPy generator of one sample, for algorithms that are sequential within a sample."""
        return np.random.Generator(np.random.Philox(key=int(self.bits(purpose)[sample])))
