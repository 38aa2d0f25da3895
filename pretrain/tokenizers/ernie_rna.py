"""ERNIE-RNA: 25 ids, the letters in descending order of their count in the published corpus."""

from __future__ import annotations

from pretrain.tokenizers.letters import LetterTokenizer

_LETTERS = "GAUCNYRSKWMDHVBXI"  # the order of the published dictionary; another corpus would give another order
VOCAB = ("<cls>", "<pad>", "<eos>", "<unk>", *_LETTERS, *(f"madeupword{i:04d}" for i in range(3)), "<mask>")


def ernie_rna(*, ambiguous_as_unk: bool = False) -> LetterTokenizer:
    """Build ERNIE-RNA's tokenizer: text of any case, T or U (recipes/ernie_rna.md#tokens).

    Args:
        ambiguous_as_unk: encode N and the other ambiguity codes as ``<unk>``. The upstream embedding scripts do this,
            although training gave them ids of their own.
    """
    letters = "GAUC" if ambiguous_as_unk else _LETTERS
    return LetterTokenizer("ernie_rna", VOCAB, letters, ("<pad>", "<unk>", "<cls>", "<eos>", "<mask>"))
