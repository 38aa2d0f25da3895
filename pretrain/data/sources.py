"""Corpora as numbered samples: their number, the tokens of each, and its content.

A source knows nothing of order, ranks or batches. What it crops or turns around depends only on the sample's own
random stream.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

import numpy as np

from data_prep.corpus import Corpus, open_corpus
from data_prep.corpus.genome import GenomeTable
from data_prep.errors import DataPrepError
from pretrain.config.corpus import Corpus as CorpusSettings
from pretrain.data.raw_batch import RawBatch
from pretrain.data.sequence_source import SequenceSource
from pretrain.data.token_lengths import token_lengths
from pretrain.data.window_source import WindowSource
from pretrain.errors import PolymeraseError
from pretrain.rng import SampleRng
from pretrain.tokenizers import Measured, Tokenizer
from pretrain.tokenizers.batch import CountsTokens


class Source(Protocol):
    """One split of one corpus."""

    size: int  # samples
    skipped: dict[str, int]  # samples that cannot be used, by reason
    index_bytes: int  # what every rank keeps in memory to find samples; their content is mapped from the disk

    def token_counts(self, index: np.ndarray) -> np.ndarray:
        """Return the tokens, specials included, of samples int64 (S,): int64 (S,)."""

    def clusters(self) -> np.ndarray | None:
        """The cluster of each sample, int64 (size,), -1 for samples in none; None where the corpus has no clusters."""

    def read(self, index: np.ndarray, rng: SampleRng) -> RawBatch:
        """Read samples int64 (S,)."""


def open_checked(path: str) -> Corpus:
    """Open a corpus; PolymeraseError that says how to get one if it is not there."""
    if not Path(path).exists():
        raise PolymeraseError(
            f"corpus {path!r} does not exist; build it (python -m data_prep fasta FILE --out {path}; "
            "python -m data_prep --help lists the other stages) or try the demo, which needs no download (make demo)"
        )
    try:
        return open_corpus(path)
    except DataPrepError as error:
        raise PolymeraseError(str(error)) from None


def open_source(
    corpus: Corpus,
    split: str,
    tokenizer: Tokenizer,
    settings: CorpusSettings,
    max_tokens: int,
    held_out: np.ndarray | None = None,
) -> Source:
    """Open a split of a corpus as the source for its kind.

    Args:
        corpus: an open corpus.
        split: ``train`` or ``validation``.
        tokenizer: of the run.
        settings: the section ``corpus`` of the run.
        max_tokens: longest sample, specials included.
        held_out: rows of this split that other corpora of the mixture hold out.

    Raises:
        PolymeraseError: labels that are wrong, or settings that do not fit the corpus.
    """
    try:
        table = corpus.split(split)
        table.check()
        if isinstance(table, GenomeTable):
            has_alleles = corpus.kind == "allele_frequencies"
            return WindowSource(table, tokenizer, settings, max_tokens, has_alleles=has_alleles)
    except DataPrepError as error:
        raise PolymeraseError(str(error)) from None
    counts = None
    if isinstance(tokenizer.lengths, Measured):
        counts = token_lengths(corpus, split, table, cast(CountsTokens, tokenizer))
    alphabet = corpus.manifest.get("alphabet", "rna")
    return SequenceSource(table, tokenizer, settings, max_tokens, counts, alphabet, held_out)
