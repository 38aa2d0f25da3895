"""Windows of k letters as tokens: overlapping k-mers (3UTRBERT, DNABERT, MethylBERT) and codons (HELM)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from pretrain.tokenizers.batch import TokenBatch, WithLengths, join_with_specials
from pretrain.tokenizers.lengths import PerNucleotide
from pretrain.tokenizers.text import Folding, encode_text, join_kmers, letter_table
from pretrain.tokenizers.windows import window_numbers

if TYPE_CHECKING:
    from data_prep.corpus import Ragged

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_NOT_A_DIGIT = 4


class KmerTokenizer(WithLengths):
    """One token per window of k letters between a first and a last token: ``[CLS] k-mers [SEP]``.

    A window is read as a number to base 4, first letter most significant, and its id looked up. A window with any other
    letter is unknown; a sequence shorter than k has no token (recipes/utrbert.md#tokens).

    Args:
        name: key in TOKENIZERS.
        k: letters per token.
        alphabet: the four letters in the order of their digits, ``AUCG`` or ``ATCG``.
        before, after: tokens of the vocabulary before and after those of the windows, in the order of their ids.
        special: pad, unknown, first, last and mask token, in this order.
        stride: letters from one window to the next; k for windows side by side.
        closed: the last token follows the windows; otherwise nothing does.
        text_folding: letters that :meth:`encode_text` treats alike, see ``letter_table``; :meth:`encode` folds all.
    """

    has_label_slot = False

    def __init__(
        self,
        name: str,
        k: int,
        alphabet: str,
        before: Sequence[str] = SPECIAL,
        after: Sequence[str] = (),
        special: tuple[str, str, str, str, str] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        *,
        stride: int = 1,
        closed: bool = True,
        text_folding: Folding = "all",
    ):
        self.name, self.alphabet, self.stride, self.text_folding = name, alphabet, stride, text_folding
        self.advance = stride
        kmers = ["".join(letters) for letters in product(alphabet, repeat=k)]
        self.vocab = (*before, *kmers, *after)
        self.special = {token: i for i, token in enumerate(self.vocab) if token in {*before, *after}}
        self.special_ids = frozenset(self.special.values())
        self.pad_id, self.unk_id, self.cls_id, self.eos_id, self.mask_id = (self.special[token] for token in special)
        self.nucleotides_per_token = self.min_nucleotides = k
        self.nucleotide_ids = np.arange(len(before), len(before) + len(kmers), dtype=np.int32)
        self.leading, self._tail = 1, [self.eos_id] if closed else []
        self.lengths = PerNucleotide(k, stride, self.leading + len(self._tail))
        digit_of = {letter: i for i, letter in enumerate(alphabet)}
        self._digits = letter_table(digit_of, _NOT_A_DIGIT).astype(np.uint8).tobytes()
        self._text_digits = letter_table(digit_of, _NOT_A_DIGIT, text_folding).astype(np.uint8).tobytes()
        self._first_id, self._id_type = len(before), np.min_scalar_type(len(self.vocab))

    def encode(self, sequences: Ragged, rna_types: Sequence[str | None] | None = None) -> TokenBatch:
        """Encode S sequences, see ``Tokenizer.encode``; there is no label slot."""
        offsets = np.zeros(len(sequences.offsets), np.int64)
        np.cumsum(self.token_count(np.diff(sequences.offsets)), out=offsets[1:])
        starts, ends = offsets[:-1], offsets[1:]
        maskable = np.ones(offsets[-1], bool)
        maskable[starts] = False
        for back in range(1, len(self._tail) + 1):
            maskable[ends - back] = False
        windows = self._windows(sequences.values, self._digits)
        # windows that cross into the next sequence are computed too, and not taken
        own_starts, own_ends = sequences.offsets[:-1], sequences.offsets[1:] - self.nucleotides_per_token + 1
        own_ends = np.maximum(own_ends, own_starts)
        if self.stride > 1:
            windows, own_starts, own_ends = _every(windows, own_starts, own_ends, self.stride)
        ids = join_with_specials(windows, own_starts, own_ends, [self.cls_id], self._tail)
        return TokenBatch(ids, offsets, maskable, None, self.leading, self.stride)

    def encode_text(self, text: str) -> np.ndarray:
        """Encode one text, int32 (T,); words of k overlapping letters are taken for the sequence that they spell."""

        def piece(letters: np.ndarray) -> np.ndarray:
            return self._windows(letters, self._text_digits)[:: self.stride]

        def join(words: str) -> str:
            return join_kmers(words, self.nucleotides_per_token, self._text_digits)

        return encode_text(
            text, self.special, piece, [self.cls_id], self._tail, join=join if self.stride == 1 else None
        )

    def _windows(self, letters: np.ndarray, table: bytes) -> np.ndarray:
        """Ids, as narrow as the vocabulary allows, (L - k + 1,) of all windows of one run of bytes uint8 (L,)."""
        k = self.nucleotides_per_token
        digits = letters.tobytes().translate(table)
        digit = np.frombuffer(digits, np.uint8)
        # A number that a foreign letter spoils may overflow; its window is unknown anyway.
        ids = np.add(window_numbers(digit, k), self._first_id, dtype=self._id_type)
        if _NOT_A_DIGIT in digits:
            other = digit == _NOT_A_DIGIT
            for j in range(k):
                ids[other[j : j + len(ids)]] = self.unk_id
        return ids


def _every(
    windows: np.ndarray, starts: np.ndarray, ends: np.ndarray, stride: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every ``stride``-th window of each sequence, from its first one on, one sequence after another; where each is."""
    rows = [windows[a:b:stride] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    bounds = np.concatenate(([0], np.cumsum((ends - starts + stride - 1) // stride)))
    return np.concatenate(rows) if rows else windows[:0], bounds[:-1], bounds[1:]


def utrbert(k: int) -> KmerTokenizer:
    """Build 3UTRBERT's tokenizer of k-mers, k from 3 to 6."""
    return KmerTokenizer(f"utrbert_{k}mer", k, "AUCG")


def dnabert(k: int) -> KmerTokenizer:
    """Build DNABERT's tokenizer of k-mers, k from 3 to 6."""
    return KmerTokenizer(f"dnabert_{k}mer", k, "ATCG")


def methylbert(*, as_released: bool = False) -> KmerTokenizer:
    """Build MethylBERT's tokenizer of 3-mers in alphabetical order: ``<sos> 3-mers``.

    Nothing follows them: upstream overwrites the last one with ``<eos>`` after it has chosen what is hidden.

    Args:
        as_released: encode texts exactly as the released tokenizer, for which lower case and U are unknown.
    """
    special = ("<pad>", "<unk>", "<eos>", "<sos>", "<mask>")
    roles = ("<pad>", "<unk>", "<sos>", "<eos>", "<mask>")
    folding: Folding = "none" if as_released else "all"
    return KmerTokenizer("methylbert", 3, "ACGT", special, (), roles, closed=False, text_folding=folding)
