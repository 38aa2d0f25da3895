"""Codons (HELM): windows of three letters side by side, in two orders of ids."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pretrain.tokenizers.kmer import KmerTokenizer

_ROLES = ("<pad>", "<unk>", "<cls>", "<eos>", "<mask>")
_GAP = str.maketrans("", "", "-")
STOPS = ("TAA", "TAG", "TGA")


class CodonTokenizer(KmerTokenizer):
    """Codons from the first letter on, ``<cls> codons <eos>``; one with any letter but A, C, G, T (U) is unknown.

    One or two letters after the last codon have no token. Sequences of a corpus that are not a whole number of codons
    are refused or cropped, and counted, when they are read (``corpus.partial_codon``).
    """

    @property
    def stop_ids(self) -> np.ndarray:
        """Ids of TAA, TAG, TGA, int32 (3,)."""
        return np.array([self.vocab.index(codon) for codon in STOPS], np.int32)

    def encode_text(self, text: str) -> np.ndarray:
        """Encode one text, int32 (T,): blanks are dropped, spelled-out special tokens are recognized."""
        return super().encode_text(text.translate(_GAP))


def codon(*, order: Literal["product", "sorted"] = "product") -> CodonTokenizer:
    """Build the vocabulary of 64 codons and six special tokens.

    Args:
        order: ``product`` of A, T, C, G, the plain ids; ``sorted`` names of all tokens as ASCII, the ids under which
            the hierarchical losses number the leaves of their tree.
    """
    if order == "product":
        before: tuple[str, ...] = ("<cls>", "<pad>", "<eos>", "<unk>")
        after = ("<mask>", "<distill_token>")
        return CodonTokenizer("codon", 3, "ATCG", before, after, _ROLES, stride=3)
    if order == "sorted":
        before = ("<cls>", "<distill_token>", "<eos>", "<mask>", "<pad>", "<unk>")
        return CodonTokenizer("codon", 3, "ACGT", before, (), _ROLES, stride=3)
    raise TypeError(f"order must be product or sorted, got {order!r}")
