"""HyenaDNA: 12 ids, ``letters [SEP]``."""

from __future__ import annotations

from typing import Any

from pretrain.tokenizers.letters import LetterTokenizer

VOCAB = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", *"ACGTN")


def hyenadna(*, case_sensitive: bool = False, as_released: bool = False) -> LetterTokenizer:
    """Build HyenaDNA's tokenizer: nothing comes first, ``[SEP]`` last; the tables of the models have 16 rows.

    Corpora and texts are upper-cased and read with T for U, because soft-masked letters would be unknown otherwise;
    blanks in texts are dropped.

    Args:
        as_released: encode texts exactly as the release: lower case, U, blanks and ambiguity codes are ``[UNK]``.
        case_sensitive: encode corpora and texts like that, too.
    """
    special = ("[PAD]", "[UNK]", None, "[SEP]", "[MASK]")
    others = ("[CLS]", "[BOS]", "[RESERVED]")
    exact: dict[str, Any] = {"text_folding": "none", "keep_blanks": True} if as_released or case_sensitive else {}
    return LetterTokenizer("hyenadna", VOCAB, "ACGTN", special, others, **exact, case_sensitive=case_sensitive)
