"""Tokenizers: one per published vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pretrain.errors import PolymeraseError, unknown_name
from pretrain.plugins import plugins
from pretrain.tokenizers.batch import TokenBatch, Tokenizer
from pretrain.tokenizers.bpe import bpe
from pretrain.tokenizers.bytes import ByteTokenizer
from pretrain.tokenizers.codon import codon
from pretrain.tokenizers.ernie_rna import ernie_rna
from pretrain.tokenizers.gpn import gpn
from pretrain.tokenizers.hyenadna import hyenadna
from pretrain.tokenizers.kmer import dnabert, methylbert, utrbert
from pretrain.tokenizers.kmer_blocks import nonoverlapping
from pretrain.tokenizers.lengths import Measured, PerNucleotide
from pretrain.tokenizers.mutbert import mutbert
from pretrain.tokenizers.rinalmo import rinalmo
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
    "rinalmo": rinalmo,
    "methylbert": methylbert,
    "kmer6_nonoverlapping": partial(nonoverlapping, 6),
    "kmer6_nonoverlapping_v1": partial(nonoverlapping, 6, "v1"),
    "kmer3_nonoverlapping": partial(nonoverlapping, 3),
    "bpe": bpe,
    "codon": codon,
    "codon_sorted": partial(codon, order="sorted"),
    "gpn": gpn,
    "hyenadna": hyenadna,
    "bytes": ByteTokenizer,
}
TOKENIZERS |= plugins("tokenizers", TOKENIZERS)


def build_tokenizer(name: str, **options: Any) -> Tokenizer:
    """Build the tokenizer of that name.

    Raises:
        PolymeraseError: there is none of that name, or it has no such option.
    """
    if name not in TOKENIZERS:
        raise unknown_name("tokenizer", name, TOKENIZERS)
    try:
        return TOKENIZERS[name](**options)
    except TypeError as error:
        raise PolymeraseError(f"tokenizer {name!r}: {error}") from None


__all__ = ["TOKENIZERS", "Measured", "PerNucleotide", "TokenBatch", "Tokenizer", "build_tokenizer"]
