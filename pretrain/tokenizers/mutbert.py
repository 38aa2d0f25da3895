"""MutBERT: 9 ids."""

from __future__ import annotations

from pretrain.tokenizers.letters import LetterTokenizer

VOCAB = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *"ACGT")


def mutbert(*, as_released: bool = False) -> LetterTokenizer:
    """Build MutBERT's tokenizer: corpora, often soft-masked, and texts are upper-cased and read with T for U.

    Args:
        as_released: encode texts exactly as the released tokenizer, which is case-sensitive and does not know U
            (recipes/mutbert.md#tokens).
    """
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    return LetterTokenizer("mutbert", VOCAB, "ACGT", special, text_folding="none" if as_released else "all")
