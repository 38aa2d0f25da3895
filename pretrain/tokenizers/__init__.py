"""Tokenizers: one per published vocabulary."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from typing import Any

from pretrain.errors import PolymeraseError
from pretrain.tokenizers.batch import TokenBatch, Tokenizer
from pretrain.tokenizers.ernie_rna import ernie_rna
from pretrain.tokenizers.kmer import dnabert, utrbert
from pretrain.tokenizers.mutbert import mutbert
from pretrain.tokenizers.rnaernie import rnaernie, rnaernie2
from pretrain.tokenizers.utr_lm import utr_lm

TOKENIZERS: dict[str, Callable[..., Tokenizer]] = {
    "ernie_rna": ernie_rna,
    "rnaernie": rnaernie,
    "rnaernie2": rnaernie2,
    "utr_lm": utr_lm,
    **{f"utrbert_{k}mer": partial(utrbert, k) for k in (3, 4, 5, 6)},
    **{f"dnabert_{k}mer": partial(dnabert, k) for k in (3, 4, 5, 6)},
    "mutbert": mutbert,
}


def build_tokenizer(name: str, **options: Any) -> Tokenizer:
    """The tokenizer of that name; PolymeraseError if there is none, or it has no such option."""
    if name not in TOKENIZERS:
        near = difflib.get_close_matches(name, TOKENIZERS, 1, 0)
        raise PolymeraseError(f"no tokenizer {name!r}; nearest is {near[0]!r} (all: {', '.join(TOKENIZERS)})")
    try:
        return TOKENIZERS[name](**options)
    except TypeError as error:
        raise PolymeraseError(f"tokenizer {name!r}: {error}") from None


__all__ = ["TOKENIZERS", "TokenBatch", "Tokenizer", "build_tokenizer"]
