"""GPN: 7 ids, lower-case letters, no special token around a sequence."""

from __future__ import annotations

from pretrain.tokenizers.letters import LetterTokenizer

VOCAB = ("[PAD]", "[MASK]", "[UNK]", *"acgt")


def gpn() -> LetterTokenizer:
    """Build GPN's tokenizer: text is lower-cased, everything but a, c, g, t is ``[UNK]``; so is U, in text only.

    N may be selected and is then a target. What was lower case before is soft-masked: that is a weight of the corpus
    (``corpus.soft_mask_weight``), not a letter.
    """
    special = ("[PAD]", "[UNK]", None, None, "[MASK]")
    return LetterTokenizer("gpn", VOCAB, "acgt", special, text_folding="case")
