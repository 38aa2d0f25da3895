"""RiNALMo: 22 ids, the bases and every ambiguity letter, with T where RNA has U."""

from __future__ import annotations

from pretrain.tokenizers.letters import LetterTokenizer

_LETTERS = "ACGTIRYKMSWBDHVN-"
VOCAB = ("<cls>", "<pad>", "<eos>", "<unk>", "<mask>", *_LETTERS)


def rinalmo() -> LetterTokenizer:
    """Upper case, U read as T; X and whatever else is no code is ``<unk>`` (recipes/rinalmo.md#tokens)."""
    return LetterTokenizer("rinalmo", VOCAB, _LETTERS, ("<pad>", "<unk>", "<cls>", "<eos>", "<mask>"))
