"""Corpora as numbered samples: how many there are, how long each becomes, and its content.

A source knows nothing of order, ranks or batches. What it crops or turns around follows from the sample's own random
stream.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from data_prep.corpus import Corpus, Ragged, SequenceTable, open_corpus
from data_prep.corpus.windows import WindowTable
from data_prep.errors import DataPrepError
from pretrain.config.sections import Corpus as CorpusSettings
from pretrain.data.alleles import tempered
from pretrain.data.ragged import slices
from pretrain.data.raw_batch import NO_VARIANTS, RawBatch, Variants
from pretrain.errors import PolymeraseError
from pretrain.rng import SampleRng
from pretrain.tokenizers import Tokenizer

_ASCII = np.frombuffer(b"ACGTN", np.uint8)


class Source(Protocol):
    """One split of one corpus."""

    size: int  # samples per epoch
    skipped: dict[str, int]  # samples that cannot be used, by reason
    index_bytes: int  # what every rank keeps in memory to find samples; their content is mapped from the disk

    def token_counts(self, index: np.ndarray) -> np.ndarray:
        """Tokens, specials included, of samples int64 (S,) -> int64 (S,)."""

    def read(self, index: np.ndarray, rng: SampleRng) -> RawBatch:
        """Content of samples int64 (S,)."""


def open_checked(path: str) -> Corpus:
    """A corpus, or the error that tells how to get one."""
    if not Path(path).exists():
        raise PolymeraseError(
            f"corpus {path!r} does not exist; build it (python -m data_prep fasta FILE --out {path}; "
            "python -m data_prep --help lists the other stages) or try the demo, which needs no download (make demo)"
        )
    try:
        return open_corpus(path)
    except DataPrepError as error:
        raise PolymeraseError(str(error)) from None


def open_source(corpus: Corpus, split: str, tokenizer: Tokenizer, settings: CorpusSettings, max_tokens: int) -> Source:
    """The source that fits the kind of the corpus; PolymeraseError for labels that are none."""
    table = corpus.split(split)
    try:
        table.check()
    except DataPrepError as error:
        raise PolymeraseError(str(error)) from None
    if isinstance(table, WindowTable):
        return WindowSource(table, tokenizer, settings, max_tokens)
    return SequenceSource(table, tokenizer, settings, max_tokens)


class SequenceSource:
    """Sequences; those longer than ``max_tokens`` are cropped or skipped, those without a single token are skipped."""

    def __init__(self, table: SequenceTable, tokenizer: Tokenizer, settings: CorpusSettings, max_tokens: int):
        self._table, self._tokenizer, self._crop = table, tokenizer, settings.crop
        self._max_nt = tokenizer.max_nucleotides(max_tokens)
        lengths = np.asarray(table.lengths)
        short = lengths < tokenizer.min_nucleotides
        long = lengths > self._max_nt if settings.too_long == "skip" else np.zeros_like(short)
        self.skipped = {"shorter than one token": int(short.sum()), f"longer than {self._max_nt} nt": int(long.sum())}
        self._rows = _small(np.flatnonzero(~(short | long))) if short.any() or long.any() else None
        self._lengths = lengths
        self.index_bytes = lengths.nbytes + (0 if self._rows is None else self._rows.nbytes)
        self.size = len(lengths) if self._rows is None else len(self._rows)

    def token_counts(self, index: np.ndarray) -> np.ndarray:
        return self._tokenizer.token_count(np.minimum(self._lengths[self._to_rows(index)], self._max_nt))

    def read(self, index: np.ndarray, rng: SampleRng) -> RawBatch:
        rows = self._to_rows(index)
        lengths = self._lengths[rows].astype(np.int64)
        kept = np.minimum(lengths, self._max_nt)
        start = self._crop_start(lengths - kept, rng)
        table = self._table
        return RawBatch(
            slices(table.gather(rows), start, kept),
            self._structure(rows, start, kept),
            # the energy belongs to the whole molecule, so a cropped sample has none
            np.where(kept == lengths, self._mfe(rows), np.float32(np.nan)),
            table.rna_type(rows) if table.has("rna_type") else [None] * len(rows),
            NO_VARIANTS,
            np.zeros(len(rows), bool),
        )

    def _to_rows(self, index: np.ndarray) -> np.ndarray:
        return index if self._rows is None else self._rows[index]

    def _crop_start(self, excess: np.ndarray, rng: SampleRng) -> np.ndarray:
        if self._crop == "keep_start" or not excess.any():
            return np.zeros_like(excess)
        if self._crop == "keep_end":
            return excess
        return np.floor(rng.uniform("crop") * (excess + 1)).astype(np.int64)

    def _structure(self, rows: np.ndarray, start: np.ndarray, kept: np.ndarray) -> Ragged:
        if not self._table.has("structure"):
            return Ragged(np.zeros(0, np.uint8), np.zeros(len(rows) + 1, np.int64))
        structure = self._table.gather_text("structure", rows)
        labelled = np.diff(structure.offsets) > 0
        return slices(structure, np.where(labelled, start, 0), np.where(labelled, kept, 0))

    def _mfe(self, rows: np.ndarray) -> np.ndarray:
        if not self._table.has("mfe_kcal_per_mol"):
            return np.full(len(rows), np.nan, np.float32)
        return self._table.mfe_kcal_per_mol(rows)


class WindowSource:
    """Windows of fixed width of an allele-frequency corpus, drawn uniformly over all window starts.

    There is no list of starts: sample ``index`` of an epoch draws its start from its own random stream, so an epoch is
    ``window count / width`` samples (about one pass over the genome).
    """

    def __init__(self, table: WindowTable, tokenizer: Tokenizer, settings: CorpusSettings, max_tokens: int):
        self._table, self._tokenizer, self._settings = table, tokenizer, settings
        self._width = settings.window or tokenizer.max_nucleotides(max_tokens)
        if self._width > tokenizer.max_nucleotides(max_tokens):
            raise PolymeraseError(
                f"corpus.window={self._width}: {max_tokens} tokens hold {tokenizer.max_nucleotides(max_tokens)} bases"
            )
        self._starts = table.window_count(self._width)
        if self._starts < 1:
            raise PolymeraseError(f"the corpus has no interval of {self._width} known bases; lower corpus.window")
        self.size = -(-self._starts // self._width)
        self.skipped: dict[str, int] = {}
        self.index_bytes = 0

    def token_counts(self, index: np.ndarray) -> np.ndarray:
        return self._tokenizer.token_count(np.full(len(index), self._width, np.int64))

    def read(self, index: np.ndarray, rng: SampleRng) -> RawBatch:
        start = np.minimum((rng.uniform("window") * self._starts).astype(np.int64), self._starts - 1)
        reverse = rng.uniform("reverse_complement") < self._settings.reverse_complement
        windows = self._table.gather(start, self._width, reverse=reverse)
        count = len(index)
        return RawBatch(
            Ragged(_ASCII[windows.codes].reshape(-1), np.arange(count + 1, dtype=np.int64) * self._width),
            Ragged(np.zeros(0, np.uint8), np.zeros(count + 1, np.int64)),
            np.full(count, np.nan, np.float32),
            [None] * count,
            Variants(
                windows.row,
                windows.column,
                tempered(windows.freq, self._settings.temperature, self._settings.temperature_mode),
            ),
            np.ones(count, bool),
        )


def _small(rows: np.ndarray) -> np.ndarray:
    """Row numbers in half the memory, where they fit."""
    return rows.astype(np.uint32) if not len(rows) or rows[-1] < 2**32 else rows
