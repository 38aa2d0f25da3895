"""Overlapping k-mers: 3UTRBERT (RNA letters) and DNABERT (DNA letters), the same ids."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from pretrain.tokenizers.batch import TokenBatch, join_with_specials
from pretrain.tokenizers.text import encode_text, letter_table
from pretrain.tokenizers.windows import window_numbers

if TYPE_CHECKING:
    from data_prep.corpus import Ragged

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_NOT_A_DIGIT = 4


class KmerTokenizer:
    """One token per window of k letters, stride 1: ``[CLS] k-mers [SEP]``.

    The id is 5 + the k-mer read as a number of base 4 with digits A 0, U/T 1, C 2, G 3, first letter most significant.
    A window with any other letter is ``[UNK]``; a sequence shorter than k has no k-mer (recipes/utrbert.md#tokens).

    Args:
        name: key in TOKENIZERS.
        k: letters per token.
        alphabet: the four letters in the order of their digits, ``AUCG`` or ``ATCG``.
    """

    pad_id, unk_id, cls_id, eos_id, mask_id = range(5)
    special_ids = frozenset(range(5))
    has_label_slot = False

    def __init__(self, name: str, k: int, alphabet: str):
        self.name, self.alphabet = name, alphabet
        self.vocab = (*SPECIAL, *("".join(letters) for letters in product(alphabet, repeat=k)))
        self.special = {token: i for i, token in enumerate(SPECIAL)}
        self.nucleotides_per_token = self.min_nucleotides = k
        self.nucleotide_ids = np.arange(len(SPECIAL), len(self.vocab), dtype=np.int32)
        digits = letter_table({letter: i for i, letter in enumerate(alphabet)}, _NOT_A_DIGIT)
        self._digits = digits.astype(np.uint8).tobytes()

    def token_count(self, lengths: np.ndarray) -> np.ndarray:
        return np.maximum(np.asarray(lengths, np.int64) - self.nucleotides_per_token + 1, 0) + 2

    def max_nucleotides(self, max_tokens: int) -> int:
        return max_tokens - 2 + self.nucleotides_per_token - 1

    def encode(self, sequences: Ragged, rna_types: Sequence[str | None] | None = None) -> TokenBatch:
        offsets = np.zeros(len(sequences.offsets), np.int64)
        np.cumsum(self.token_count(np.diff(sequences.offsets)), out=offsets[1:])
        starts, ends = offsets[:-1], offsets[1:]
        maskable = np.ones(offsets[-1], bool)
        maskable[starts] = maskable[ends - 1] = False
        # windows that cross into the next sequence are computed too, and not taken
        own_ends = sequences.offsets[1:] - self.nucleotides_per_token + 1
        own_ends = np.maximum(own_ends, sequences.offsets[:-1])
        ids = join_with_specials(
            self._windows(sequences.values), sequences.offsets[:-1], own_ends, self.cls_id, [self.eos_id]
        )
        return TokenBatch(ids, offsets, maskable)

    def encode_text(self, text: str) -> np.ndarray:
        return encode_text(text, self.special, self._windows, self.cls_id, self.eos_id)

    def _windows(self, letters: np.ndarray) -> np.ndarray:
        """Ids, as narrow as the vocabulary allows, (L - k + 1,) of all windows of one run of bytes uint8 (L,)."""
        k = self.nucleotides_per_token
        digits = letters.tobytes().translate(self._digits)
        digit = np.frombuffer(digits, np.uint8)
        # A number that a foreign letter spoils may overflow; its window is unknown anyway.
        ids = np.add(window_numbers(digit, k), len(SPECIAL), dtype=np.min_scalar_type(len(self.vocab)))
        if _NOT_A_DIGIT in digits:
            other = digit == _NOT_A_DIGIT
            for j in range(k):
                ids[other[j : j + len(ids)]] = self.unk_id
        return ids


def utrbert(k: int) -> KmerTokenizer:
    """3UTRBERT's k-mers, k from 3 to 6."""
    return KmerTokenizer(f"utrbert_{k}mer", k, "AUCG")


def dnabert(k: int) -> KmerTokenizer:
    """DNABERT's k-mers, k from 3 to 6."""
    return KmerTokenizer(f"dnabert_{k}mer", k, "ATCG")
