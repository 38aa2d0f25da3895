"""UTR-LM: 10 ids, DNA letters in the order A G C T."""

from __future__ import annotations

from pretrain.tokenizers.letters import LetterTokenizer

VOCAB = ("<pad>", "<eos>", "<unk>", *"AGCT", "<cls>", "<mask>", "<sep>")


def utr_lm() -> LetterTokenizer:
    """Build UTR-LM's tokenizer: anything but A, C, G, T (U) is ``<unk>``; upstream stops on such letters.

    See recipes/utr_lm.md#tokens.
    """
    return LetterTokenizer("utr_lm", VOCAB, "AGCT", ("<pad>", "<unk>", "<cls>", "<eos>", "<mask>"), ("<sep>",))
