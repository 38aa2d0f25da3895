"""HyenaDNA: 12 ids, ``letters [SEP]``."""

from __future__ import annotations

from typing import Any

from pretrain.tokenizers.letters import LetterTokenizer

VOCAB = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", *"ACGTN")


def hyenadna(*, case_sensitive: bool = False, as_released: bool = False) -> LetterTokenizer:
    """Nothing comes first, ``[SEP]`` last; the tables of the models have 16 rows.

    Corpora and texts are upper-cased and read with T for U, or soft-masked letters would be unknown; blanks in texts
    are dropped.

    Args:
        as_released: texts follow the release to the letter: lower case, U, blanks and ambiguity codes are ``[UNK]``.
        case_sensitive: corpora and texts do, the trap included.
    """
    special = ("[PAD]", "[UNK]", None, "[SEP]", "[MASK]")
    others = ("[CLS]", "[BOS]", "[RESERVED]")
    exact: dict[str, Any] = {"text_folding": "none", "keep_blanks": True} if as_released or case_sensitive else {}
    return LetterTokenizer("hyenadna", VOCAB, "ACGTN", special, others, **exact, case_sensitive=case_sensitive)
