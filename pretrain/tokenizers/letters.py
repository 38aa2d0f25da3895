"""Tokenizers with one token per letter: ``<cls> letters <eos>``, or ``[CLS] letters [IND] TYPE [SEP]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pretrain.tokenizers.batch import TokenBatch, join_with_specials
from pretrain.tokenizers.text import encode_text, letter_table

if TYPE_CHECKING:
    from data_prep.corpus import Ragged


class LetterTokenizer:
    """One token per letter.

    Args:
        name: key in TOKENIZERS.
        vocab: token of each id.
        letters: which tokens are letters of sequences; any other letter is unknown.
        special: pad, unknown, first, last and mask token, in this order.
        more_special: further special tokens of the vocabulary.
        fold_text: :meth:`encode_text` takes lower case for upper case, and T and U for whichever of the two the
            vocabulary has. :meth:`encode`, which reads corpora, always does.
        rna_types: tokens that may stand in the label slot; empty for the plain layout.
        indicator: the token before the label slot.
    """

    nucleotides_per_token = 1
    min_nucleotides = 1

    def __init__(
        self,
        name: str,
        vocab: Sequence[str],
        letters: str,
        special: tuple[str, str, str, str, str],
        more_special: Sequence[str] = (),
        *,
        fold_text: bool = True,
        rna_types: Sequence[str] = (),
        indicator: str | None = None,
    ):
        self.name, self.vocab, self.fold_text = name, tuple(vocab), fold_text
        ids = {token: i for i, token in enumerate(vocab)}
        self.pad_id, self.unk_id, self.cls_id, self.eos_id, self.mask_id = (ids[token] for token in special)
        self.special = {token: ids[token] for token in (*special, *more_special)}
        self.special_ids = frozenset(self.special.values())
        self.letters = {letter: ids[letter] for letter in letters}
        self.nucleotide_ids = np.array([ids[n] for n in ("A", "C", "G", "U" if "U" in letters else "T")], np.int32)
        self.rna_types = {rna_type: ids[rna_type] for rna_type in rna_types}
        self.has_label_slot = indicator is not None
        self._tail = [self.eos_id] if indicator is None else [ids[indicator], self.unk_id, self.eos_id]
        self._table = letter_table(self.letters, self.unk_id)
        self._narrow_table = self._table.astype(np.uint8).tobytes()  # vocabularies of letters are small
        self._text_table = self._table if fold_text else letter_table(self.letters, self.unk_id, fold=False)

    def token_count(self, lengths: np.ndarray) -> np.ndarray:
        return np.asarray(lengths, np.int64) + 1 + len(self._tail)

    def max_nucleotides(self, max_tokens: int) -> int:
        return max_tokens - 1 - len(self._tail)

    def encode(self, sequences: Ragged, rna_types: Sequence[str | None] | None = None) -> TokenBatch:
        lengths = np.diff(sequences.offsets)
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(self.token_count(lengths), out=offsets[1:])
        starts, ends = offsets[:-1], offsets[1:]
        maskable = np.ones(offsets[-1], bool)
        maskable[starts] = False
        for back in range(1, len(self._tail) + 1):
            maskable[ends - back] = False
        base = sequences.offsets[0]
        letters = sequences.values[base : sequences.offsets[-1]].tobytes().translate(self._narrow_table)
        own = sequences.offsets - base
        ids = join_with_specials(np.frombuffer(letters, np.uint8), own[:-1], own[1:], self.cls_id, self._tail)
        label_position = None
        if self.has_label_slot:
            label_position = ends - 2
            ids[label_position] = self.rna_type_ids(rna_types if rna_types is not None else [None] * len(lengths))
        return TokenBatch(ids, offsets, maskable, label_position)

    def rna_type_ids(self, rna_types: Sequence[str | None]) -> np.ndarray:
        """Ids int32 (S,) of RNA types in RNAcentral's spelling (``pre_miRNA``); unknown or missing: the unknown id."""
        known, unknown = self.rna_types, self.unk_id
        return np.array([known.get((name or "").replace("_", ""), unknown) for name in rna_types], np.int32)

    def encode_text(self, text: str) -> np.ndarray:
        return encode_text(text, self.special, self._text_table.__getitem__, self.cls_id, self.eos_id)
