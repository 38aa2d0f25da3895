"""HyenaDNA: 12 ids, ``letters [SEP]``."""

from __future__ import annotations

from typing import Any

from pretrain.tokenizers.letters import LetterTokenizer

VOCAB = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", *"ACGTN")


def hyenadna(*, case_sensitive: bool = False) -> LetterTokenizer:
    """Nothing comes first, ``[SEP]`` last; the tables of the models have 16 rows.

    Texts follow the release to the letter: lower case, U, blanks and ambiguity codes are ``[UNK]``. Corpora are
    upper-cased and read with T for U first, or soft-masked letters would be unknown.

    Args:
        case_sensitive: corpora are read as texts are, the trap included.
    """
    special = ("[PAD]", "[UNK]", None, "[SEP]", "[MASK]")
    others = ("[CLS]", "[BOS]", "[RESERVED]")
    exact: dict[str, Any] = {"text_folding": "none", "keep_blanks": True}
    return LetterTokenizer("hyenadna", VOCAB, "ACGTN", special, others, **exact, case_sensitive=case_sensitive)
