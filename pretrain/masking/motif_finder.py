"""Finding all occurrences of thousands of motifs in a batch of tokens at once.

A window of l tokens is a number of base 4. Up to a block length P, the numbers of all windows are looked up in a table
of every possible window. A longer motif is found by its first P letters, which few windows share, and then compared
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
        self._tables: dict[int, np.ndarray] = {}
        for motif, databases_of_motif in member.items():
            if len(motif) <= self._block:
                table = self._tables.setdefault(len(motif), np.zeros(self._base ** len(motif), np.uint8))
                table[_number(motif, self._base)] = databases_of_motif
        self._long = _LongMotifs({m: d for m, d in member.items() if len(m) > self._block}, self._block, self._base)

    def find(self, tokens: TokenBatch) -> Matches:
        """All matches that lie within one sequence and touch no special or ambiguous token."""
        digits = self._digit_of_id[tokens.ids]
        breaks = np.flatnonzero(digits == _BREAK)  # the last token of a batch always is one
        run = np.repeat(breaks, np.diff(breaks, prepend=-1)) - np.arange(len(digits))  # tokens up to the next break
        digits[breaks] = 0
        found = []
        codes = np.zeros(len(digits), np.int32)
        for length in range(1, self._block + 1):
            codes = codes[: max(len(digits) - length + 1, 0)] * self._base
            codes += digits[length - 1 :]
            if length in self._tables:
                databases = self._tables[length][codes]
                start = np.flatnonzero(databases)
                start = start[run[start] >= length]
                found.append(Matches(start, np.full(len(start), length, np.int64), databases[start]))
        found.append(self._long.find(codes, run))
        return Matches(*(np.concatenate(column) for column in zip(*found, strict=True)))


class _LongMotifs:
    """Motifs of more than P letters: blocks of P letters, the last one flush with the end."""

    def __init__(self, databases_of: dict[tuple[int, ...], int], block: int, base: int):
        order = sorted(databases_of)  # so that motifs of one prefix stand together
        self._length = np.array([len(motif) for motif in order], np.int64)
        self._databases = np.array([databases_of[motif] for motif in order], np.uint8)
        prefix = np.array([_number(motif[:block], base) for motif in order], np.int64)
        self._prefixes, self._first, self._count = np.unique(prefix, return_index=True, return_counts=True)
        self._is_prefix = np.zeros(base**block, bool)
        self._is_prefix[prefix] = True
        most = max((-(-len(motif) // block) for motif in order), default=1)
        self._offset = np.minimum(np.arange(1, most) * block, self._length[:, None] - block)  # (motifs, blocks - 1)
        numbers = [
            _number(motif[offset : offset + block], base)
            for motif, offsets in zip(order, self._offset.tolist(), strict=True)
            for offset in offsets
        ]
        self._number = np.array(numbers, np.int32).reshape(self._offset.shape)

    def find(self, codes: np.ndarray, run: np.ndarray) -> Matches:
        """Codes int32 of all windows of P letters; run (N,), letters up to the next break."""
        position = np.flatnonzero(self._is_prefix[codes])
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
