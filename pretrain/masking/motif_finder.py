"""Finding all occurrences of thousands of motifs in a batch of tokens at once.

A window of P tokens is a number of base 4. One look at a table of every possible window tells the lengths of all motifs
that begin there. A motif of more than P letters is found by its first P, which few windows share, and then compared
block by block. So the cost hardly depends on the number of motifs (spec rnaernie.md, section f).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pretrain.masking.motif_list import UNKNOWN_DIGIT
from pretrain.tokenizers.batch import TokenBatch, Tokenizer, spans

_BLOCK = {4: 10, 5: 8}  # base -> P; a table has at most a million cells
_BREAK = 255


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
        self._digit_of_id = np.full(len(tokenizer.vocab), _BREAK, np.uint8)
        self._digit_of_id[tokenizer.nucleotide_ids] = np.arange(4)
        member: dict[tuple[int, ...], int] = {}
        for number, motifs in enumerate(databases):
            for motif in motifs:
                member[motif] = member.get(motif, 0) | 1 << number
        self._base = 5 if any(UNKNOWN_DIGIT in motif for motif in member) else 4
        if self._base == 5:
            self._digit_of_id[tokenizer.unk_id] = UNKNOWN_DIGIT
        self._block = _BLOCK[self._base]
        short = {motif: databases for motif, databases in member.items() if len(motif) <= self._block}
        windows = self._base**self._block
        self._begins = np.zeros(windows, np.uint16)  # window -> bit l - 1: a motif of length l; bit P: a longer one
        self._part = self._base ** np.arange(self._block, -1, -1)  # by l: a window // this is its first l letters
        self._table = np.cumsum(self._base ** np.arange(self._block + 1)) - self._base ** np.arange(self._block + 1)
        self._databases = np.zeros(self._table[-1] + windows, np.uint8)  # a table for each length, end to end
        for motif, databases_of_motif in short.items():
            length, number = len(motif), _number(motif, self._base)
            self._databases[self._table[length] + number] = databases_of_motif
            self._mark(number, length, 1 << length - 1)
        self._lengths = np.array(sorted({len(motif) for motif in short}), np.int64)
        self._long = _LongMotifs({m: d for m, d in member.items() if len(m) > self._block}, self._block, self._base)
        for motif in member.keys() - short.keys():
            self._mark(_number(motif[: self._block], self._base), self._block, 1 << self._block)

    def _mark(self, number: int, length: int, bit: int) -> None:
        """Set a bit of all windows whose first letters are this number."""
        self._begins[number * self._part[length] : (number + 1) * self._part[length]] |= np.uint16(bit)

    def find(self, tokens: TokenBatch) -> Matches:
        """All matches that lie within one sequence and touch no special or ambiguous token."""
        digits = self._digit_of_id[tokens.ids]
        breaks = np.flatnonzero(digits == _BREAK)  # the last token of a batch always is one
        run = np.repeat(breaks, np.diff(breaks, prepend=-1)) - np.arange(len(digits))  # tokens up to the next break
        digits[breaks] = 0
        codes = _windows(digits, self._block, self._base)
        begins = self._begins[codes]
        place = np.flatnonzero(begins)
        begins, code, left = begins[place], codes[place], run[place]
        row, column = np.nonzero(
            (begins >> (self._lengths - 1).astype(np.uint16)[:, None] & 1).astype(bool)
            & (self._lengths[:, None] <= left)
        )
        length = self._lengths[row]
        databases = self._databases[self._table[length] + code[column] // self._part[length]]
        long = self._long.find(place[begins >> self._block > 0], codes, run)
        return Matches(*map(np.concatenate, zip((place[column], length, databases), long, strict=True)))


def _windows(digits: np.ndarray, block: int, base: int) -> np.ndarray:
    """Digits uint8 (N,) -> the number of the window of P letters at each place, int32 (N,); zeros follow the last one.

    Windows of twice the letters are made from two of half the letters.
    """
    codes = np.concatenate([digits, np.zeros(block, np.uint8)]).astype(np.int32)
    result, done, size = None, 0, 1
    while block:
        if block & 1:  # windows of the letters that the bits of P have seen so far, and of these behind them
            shifted = codes[done:]
            result = shifted if result is None else result[: len(shifted)] * base**size + shifted
            done += size
        block >>= 1
        if block:
            codes, size = codes[:-size] * base**size + codes[size:], 2 * size
    assert result is not None
    return result[: len(digits)]


class _LongMotifs:
    """Motifs of more than P letters: blocks of P letters, the last one flush with the end."""

    def __init__(self, databases_of: dict[tuple[int, ...], int], block: int, base: int):
        order = sorted(databases_of)  # so that motifs of one prefix stand together
        self._length = np.array([len(motif) for motif in order], np.int64)
        self._databases = np.array([databases_of[motif] for motif in order], np.uint8)
        prefix = np.array([_number(motif[:block], base) for motif in order], np.int64)
        self._prefixes, self._first, self._count = np.unique(prefix, return_index=True, return_counts=True)
        most = max((-(-len(motif) // block) for motif in order), default=1)
        self._offset = np.minimum(np.arange(1, most) * block, self._length[:, None] - block)  # (motifs, blocks - 1)
        numbers = [
            _number(motif[offset : offset + block], base)
            for motif, offsets in zip(order, self._offset.tolist(), strict=True)
            for offset in offsets
        ]
        self._number = np.array(numbers, np.int32).reshape(self._offset.shape)

    def find(self, position: np.ndarray, codes: np.ndarray, run: np.ndarray) -> Matches:
        """Positions whose window begins a motif; codes int32 of all windows; run (N,), letters to the next break."""
        group = np.searchsorted(self._prefixes, codes[position])
        start = np.repeat(position, self._count[group])
        motif = spans(self._first[group], self._count[group])
        fits = self._length[motif] <= run[start]
        start, motif = start[fits], motif[fits]
        for block in range(self._offset.shape[1]):
            same = codes[start + self._offset[motif, block]] == self._number[motif, block]
            start, motif = start[same], motif[same]
        order = np.argsort(self._length[motif], kind="stable")
        return Matches(start[order], self._length[motif][order], self._databases[motif][order])


def _number(digits: Sequence[int], base: int) -> int:
    """Digits as a number, the first most significant."""
    number = 0
    for digit in digits:
        number = number * base + digit
    return number
