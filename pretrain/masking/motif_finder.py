"""Finding all occurrences of thousands of motifs in a batch of tokens at once.

A window of P tokens is a number, with a digit for each letter and one for everything that no motif contains. One look
at a table of every possible window tells the lengths of all motifs that begin there. A motif of more than P letters is
found by its first P, which few windows share, and then compared block by block. So the cost hardly depends on the
number of motifs (recipes/rnaernie.md#motif-speed).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pretrain.masking.motif_list import UNKNOWN_DIGIT
from pretrain.tokenizers.batch import TokenBatch, Tokenizer, ragged_arange
from pretrain.tokenizers.windows import window_numbers

_BLOCK = {5: 8, 6: 7}  # base -> P; the table of windows then fits a core's cache


class Matches(NamedTuple):
    """Occurrences, overlapping and nested ones included; K of them, grouped by motif length, then by position."""

    start: np.ndarray  # int64 (K,), flat token position
    length: np.ndarray  # int64 (K,)
    databases: np.ndarray  # uint8 (K,): bit d is set if database d has the motif


class MotifFinder:
    """Tables of the motifs of up to 8 databases.

    Args:
        databases: distinct motifs of each, as digits 0 to 3, or 4 for an unknown token.
        tokenizer: one token per nucleotide.
    """

    def __init__(self, databases: Sequence[set[tuple[int, ...]]], tokenizer: Tokenizer):
        member: dict[tuple[int, ...], int] = {}
        for number, motifs in enumerate(databases):
            for motif in motifs:
                member[motif] = member.get(motif, 0) | 1 << number
        unknown = any(UNKNOWN_DIGIT in motif for motif in member)
        self._base = 6 if unknown else 5
        self._block = _BLOCK[self._base]
        self._no_letter = self._base - 1
        self._digit_of_id = np.full(len(tokenizer.vocab), self._no_letter, np.uint8)
        self._digit_of_id[tokenizer.nucleotide_ids] = np.arange(4)
        if unknown:
            self._digit_of_id[tokenizer.unk_id] = UNKNOWN_DIGIT
        short = {motif: databases for motif, databases in member.items() if len(motif) <= self._block}
        windows = self._base**self._block
        self._begins = np.zeros(windows, np.uint16)  # window -> bit l - 1: a motif of length l; bit P: a longer one
        self._part = [self._base**rest for rest in range(self._block, -1, -1)]  # by l: window // this: first l letters
        self._table = np.cumsum(self._base ** np.arange(self._block + 1)) - self._base ** np.arange(self._block + 1)
        self._databases = np.zeros(self._table[-1] + windows, np.uint8)  # a table for each length, end to end
        for motif, databases_of_motif in short.items():
            length, number = len(motif), _number(motif, self._base)
            self._databases[self._table[length] + number] = databases_of_motif
            self._mark(number, length, 1 << length - 1)
        self._lengths = sorted({len(motif) for motif in short})
        self._long = _LongMotifs({m: d for m, d in member.items() if len(m) > self._block}, self._block, self._base)
        for motif in member.keys() - short.keys():
            self._mark(_number(motif[: self._block], self._base), self._block, 1 << self._block)

    def _mark(self, number: int, length: int, bit: int) -> None:
        """Set a bit of all windows whose first letters are this number."""
        self._begins[number * self._part[length] : (number + 1) * self._part[length]] |= np.uint16(bit)

    def find(self, tokens: TokenBatch) -> Matches:
        """Find all matches that lie within one sequence and touch no special or ambiguous token."""
        behind = np.full(self._block - 1, self._no_letter, np.uint8)
        digits = np.concatenate([self._digit_of_id[tokens.ids], behind])
        codes = window_numbers(digits, self._block, self._base)
        begins = self._begins[codes]
        parts = []
        for length in self._lengths:
            start = _where(begins, length - 1)
            databases = self._databases[self._table[length] + codes[start] // self._part[length]]
            parts.append(Matches(start, np.full(len(start), length), databases))
        parts.append(self._long.find(_where(begins, self._block), codes))
        return Matches(*map(np.concatenate, zip(*parts, strict=True)))


def _where(begins: np.ndarray, bit: int) -> np.ndarray:
    return np.flatnonzero((begins & np.uint16(1 << bit)).astype(bool))


class _LongMotifs:
    """Motifs of more than P letters: their first P, their last P, then the blocks between."""

    def __init__(self, databases_of: dict[tuple[int, ...], int], block: int, base: int):
        order = sorted(databases_of)  # so that motifs of one prefix stand together
        self._length = np.array([len(motif) for motif in order], np.int64)
        self._databases = np.array([databases_of[motif] for motif in order], np.uint8)
        prefix = np.array([_number(motif[:block], base) for motif in order], np.int64)
        self._prefixes, self._first, self._count = np.unique(prefix, return_index=True, return_counts=True)
        last = self._length[:, None] - block
        between = np.minimum(np.arange(block, int(self._length.max(initial=block)) - block, block), last)
        self._offset = np.concatenate([last, between], axis=1)  # (motifs, blocks)
        numbers = [
            _number(motif[offset : offset + block], base)
            for motif, offsets in zip(order, self._offset.tolist(), strict=True)
            for offset in offsets
        ]
        self._number = np.array(numbers, np.int64).reshape(self._offset.shape)

    def find(self, position: np.ndarray, codes: np.ndarray) -> Matches:
        """Find matches at positions, int64 (K',), whose windows begin a long motif; codes (N,) of all windows."""
        group = np.searchsorted(self._prefixes, codes[position])
        start = np.repeat(position, self._count[group])
        motif = ragged_arange(self._first[group], self._count[group])
        for block in range(self._offset.shape[1]):
            offset = self._offset[motif, block]
            if block and (offset == self._offset[motif, 0]).all():
                break  # no motif is longer
            # the last window of a batch begins with a special token, as no block of a motif does
            same = codes[np.minimum(start + offset, len(codes) - 1)] == self._number[motif, block]
            start, motif = start[same], motif[same]
        order = np.argsort(self._length[motif], kind="stable")
        return Matches(start[order], self._length[motif][order], self._databases[motif][order])


def _number(digits: Sequence[int], base: int) -> int:
    """Digits as a number, the first most significant."""
    number = 0
    for digit in digits:
        number = number * base + digit
    return number
