"""Tokenizers of single letters: ``<cls> letters <eos>``, ``[CLS] letters [IND] TYPE [SEP]``, or letters alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pretrain.tokenizers.batch import TokenBatch, WithLengths, join_with_specials
from pretrain.tokenizers.lengths import PerNucleotide
from pretrain.tokenizers.text import Folding, encode_text, letter_table

if TYPE_CHECKING:
    from data_prep.corpus import Ragged

NONE = -1  # id of a special token that a vocabulary does not have


class LetterTokenizer(WithLengths):
    """One token per letter.

    Args:
        name: key in TOKENIZERS.
        vocab: token of each id.
        letters: which tokens are letters of sequences; any other letter is unknown.
        special: pad, unknown, first, last and mask token, in this order; None for one that does not exist.
        more_special: further special tokens of the vocabulary.
        text_folding: letters that :meth:`encode_text` treats alike: ``all`` lower and upper case, and T and U for
            whichever of the two the vocabulary has; ``case`` the former only; ``none``.
        keep_blanks: encode blanks of texts as unknown letters; otherwise they are dropped.
        case_sensitive: :meth:`encode`, which reads corpora, distinguishes lower case, too. Otherwise it folds all.
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
        special: tuple[str | None, str | None, str | None, str | None, str | None],
        more_special: Sequence[str] = (),
        *,
        text_folding: Folding = "all",
        keep_blanks: bool = False,
        case_sensitive: bool = False,
        rna_types: Sequence[str] = (),
        indicator: str | None = None,
    ):
        self.name, self.vocab = name, tuple(vocab)
        self.text_folding, self.keep_blanks = text_folding, keep_blanks
        ids = {token: i for i, token in enumerate(vocab)}
        self.pad_id, self.unk_id, self.cls_id, self.eos_id, self.mask_id = (
            NONE if token is None else ids[token] for token in special
        )
        self.special = {token: ids[token] for token in (*special, *more_special) if token is not None}
        self.special_ids = frozenset(self.special.values())
        self.letters = {letter: ids[letter] for letter in letters}
        bases = ("A", "C", "G", "U" if "U" in letters else "T")
        self.nucleotide_ids = np.array([ids[n if n in ids else n.lower()] for n in bases], np.int32)
        self.rna_types = {rna_type: ids[rna_type] for rna_type in rna_types}
        self.has_label_slot = indicator is not None
        self._head = [] if self.cls_id == NONE else [self.cls_id]
        self._tail = [] if self.eos_id == NONE else [self.eos_id]
        if indicator is not None:
            self._tail = [ids[indicator], self.unk_id, self.eos_id]
        self.leading = len(self._head)
        self.lengths = PerNucleotide(specials=len(self._head) + len(self._tail))
        self._text_table = letter_table(self.letters, self.unk_id, text_folding)
        table = self._text_table if case_sensitive else letter_table(self.letters, self.unk_id)
        self._narrow_table = table.astype(np.uint8).tobytes()  # vocabularies of letters are small

    def encode(self, sequences: Ragged, rna_types: Sequence[str | None] | None = None) -> TokenBatch:
        """Encode S sequences, see ``Tokenizer.encode``; ``rna_types`` fill the label slots, if there are any."""
        tokens = encode_letters(sequences, self._narrow_table, self._head, self._tail)
        if not self.has_label_slot:
            return tokens
        slots = tokens.offsets[1:] - 2
        tokens.ids[slots] = self.rna_type_ids(rna_types if rna_types is not None else [None] * len(slots))
        return TokenBatch(tokens.ids, tokens.offsets, tokens.maskable, slots, self.leading)

    def rna_type_ids(self, rna_types: Sequence[str | None]) -> np.ndarray:
        """Return ids int32 (S,) of RNA types in RNAcentral's spelling (``pre_miRNA``); the unknown id for others."""
        known, unknown = self.rna_types, self.unk_id
        return np.array([known.get((name or "").replace("_", ""), unknown) for name in rna_types], np.int32)

    def encode_text(self, text: str) -> np.ndarray:
        """Encode one text, int32 (T,); spelled-out special tokens are recognized."""
        read = self._text_table.__getitem__
        return encode_text(text, self.special, read, self._head, self._tail[-1:], keep_blanks=self.keep_blanks)


def encode_letters(sequences: Ragged, table: bytes, head: Sequence[int], tail: Sequence[int]) -> TokenBatch:
    """Encode one token per byte by a table of 256 ids, between ``head`` and ``tail``."""
    offsets = sequences.offsets - sequences.offsets[0] + np.arange(len(sequences.offsets)) * (len(head) + len(tail))
    maskable = np.ones(offsets[-1], bool)
    for place in range(len(head)):
        maskable[offsets[:-1] + place] = False
    for back in range(1, len(tail) + 1):
        maskable[offsets[1:] - back] = False
    base = sequences.offsets[0]
    letters = sequences.values[base : sequences.offsets[-1]].tobytes().translate(table)
    own = sequences.offsets - base
    ids = join_with_specials(np.frombuffer(letters, np.uint8), own[:-1], own[1:], head, tail)
    return TokenBatch(ids, offsets, maskable, None, len(head))
