"""MutBERT: 9 ids."""

from __future__ import annotations

from pretrain.tokenizers.letters import LetterTokenizer

VOCAB = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *"ACGT")


def mutbert() -> LetterTokenizer:
    """The released tokenizer is case-sensitive and takes U for unknown (recipes/mutbert.md#tokens).

    Texts follow it to the letter; corpora, often soft-masked, are upper-cased and read with T for U first.
    """
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    return LetterTokenizer("mutbert", VOCAB, "ACGT", special, text_folding="none")
