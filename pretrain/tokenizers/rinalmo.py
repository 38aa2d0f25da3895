"""RiNALMo: 22 ids, the bases and every ambiguity letter, with T where RNA has U."""

from __future__ import annotations

from pretrain.tokenizers.letters import LetterTokenizer

_LETTERS = "ACGTIRYKMSWBDHVN-"
VOCAB = ("<cls>", "<pad>", "<eos>", "<unk>", "<mask>", *_LETTERS)


def rinalmo() -> LetterTokenizer:
    """Build RiNALMo's tokenizer: upper case, U read as T; X and all letters without a code are ``<unk>``.

    See recipes/rinalmo.md#tokens.
    """
    return LetterTokenizer("rinalmo", VOCAB, _LETTERS, ("<pad>", "<unk>", "<cls>", "<eos>", "<mask>"))
