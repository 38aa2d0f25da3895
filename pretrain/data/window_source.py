"""Samples of a genome: windows of it, with the alleles of a population if the corpus has them."""

from __future__ import annotations

import numpy as np

from data_prep.corpus import Ragged
from data_prep.corpus.genome import GenomeTable
from pretrain.config.corpus import Corpus as CorpusSettings
from pretrain.data import soft_mask
from pretrain.data.alleles import tempered
from pretrain.data.raw_batch import RawBatch, TokenCrop, Variants
from pretrain.data.samplers import Around, CutAndSample, Sampler, Tiles, Uniform
from pretrain.data.strands import reverse_complemented
from pretrain.errors import PolymeraseError
from pretrain.rng import SampleRng
from pretrain.tokenizers import Measured, Tokenizer

_ASCII = np.frombuffer(b"ACGTN", np.uint8)


class WindowSource:
    """Windows of one split, drawn as ``corpus.sampling`` says.

    If lengths are measured, a window has enough bases to fill its tokens whatever its letters, and the rest is cut off:
    so its length in tokens is known before it is read.
    """

    def __init__(
        self,
        table: GenomeTable,
        tokenizer: Tokenizer,
        settings: CorpusSettings,
        max_tokens: int,
        *,
        has_alleles: bool = True,
    ):
        self._table, self._settings, self._has_alleles = table, settings, has_alleles
        self._rule, self._max_tokens = tokenizer.lengths, max_tokens
        if isinstance(self._rule, Measured):
            holds = (max_tokens - self._rule.specials) * self._rule.longest
        else:
            holds = tokenizer.max_nucleotides(max_tokens)
        self._check_width(holds)
        self._sampler = _sampler(table, settings, holds, tokenizer.min_nucleotides)
        self.size = self._sampler.size
        self.skipped: dict[str, int] = {}
        self.index_bytes = 0

    def token_counts(self, index: np.ndarray) -> np.ndarray:
        """Return tokens of samples, see ``Source.token_counts``."""
        return self._tokens(self._sampler.lengths(index))

    def clusters(self) -> None:
        """Say that windows of genomes are in none."""

    def read(self, index: np.ndarray, rng: SampleRng) -> RawBatch:
        """Read the windows of samples, see ``Source.read``."""
        settings = self._settings
        weighted, cased = settings.soft_mask_weight != 1.0, not settings.upper_case
        contig, start, length = self._sampler.draw(index, rng)
        pieces = self._table.read(contig, start, length, soft_mask=weighted or cased)
        count, letters, weights = len(index), _ASCII[pieces.codes.values], None
        if pieces.soft_mask is not None:
            weights = soft_mask.weights_of(pieces.soft_mask, settings.soft_mask_weight) if weighted else None
            letters = soft_mask.lower_case(letters, pieces.soft_mask) if cased else letters
        crop = None
        if isinstance(self._rule, Measured):
            crop = TokenCrop(self._tokens(length), np.zeros(count))
        raw = RawBatch(
            Ragged(letters, pieces.codes.offsets),
            Ragged(np.zeros(0, np.uint8), np.zeros(count + 1, np.int64)),
            np.full(count, np.nan, np.float32),
            [None] * count,
            Variants(pieces.row, pieces.column, tempered(pieces.freq, settings.temperature, settings.temperature_mode)),
            np.full(count, self._has_alleles),
            weights,
            crop,
        )
        if not settings.reverse_complement:
            return raw
        return reverse_complemented(raw, rng.uniform("reverse_complement") < settings.reverse_complement, "dna")

    def _tokens(self, lengths: np.ndarray) -> np.ndarray:
        if isinstance(self._rule, Measured):
            return np.minimum(self._rule.fewest(lengths), self._max_tokens)
        return self._rule.tokens(lengths)

    def _check_width(self, holds: int) -> None:
        width, draw = self._settings.window, self._settings.sampling.draw
        if width and width > holds and draw not in ("chunks", "intervals"):
            raise PolymeraseError(
                f"corpus.window={width}: {self._max_tokens} tokens hold {holds} bases; lower it to that"
            )
        if width and width < holds and isinstance(self._rule, Measured) and not self._rule.rest_as_letters:
            raise PolymeraseError(
                f"corpus.window={width}: tokens of up to {self._rule.longest} bases are sure to fill "
                f"{self._max_tokens} tokens only with {holds} bases; leave it out"
            )


def _sampler(table: GenomeTable, settings: CorpusSettings, holds: int, least: int) -> Sampler:
    """The windows that ``corpus.sampling`` names; ``holds``, ``least``: bases of the longest and shortest sample."""
    sampling, width = settings.sampling, settings.window or holds
    sampler: Sampler
    if sampling.draw in ("uniform", "cut_and_sample", "chunks") and table.bases and table.window_count(width) < 1:
        raise PolymeraseError(f"the corpus has no interval of {width} known bases; lower corpus.window")
    if sampling.draw == "uniform":
        sampler = Uniform(table, width)
    elif sampling.draw == "cut_and_sample":
        sampler = CutAndSample(table, width, max(5 if sampling.shortest is None else sampling.shortest, least))
    elif sampling.draw == "chunks":
        overlap = 50 if sampling.overlap is None else sampling.overlap
        if overlap >= width:
            raise PolymeraseError(f"corpus.sampling.overlap={overlap} must be below corpus.window={width}")
        slack = overlap if sampling.random_start else 0
        sampler = Tiles(table, table.intervals, width, width - overlap, None, holds, slack)
    elif sampling.draw == "regions":
        intervals = table.region_intervals(sampling.regions or "balanced")
        sampler = Tiles(table, intervals, width, sampling.step or max(width // 2, 1))
    elif sampling.draw == "intervals":
        intervals = table.region_intervals(sampling.regions or "intervals")
        sampler = Around(table, intervals, width, holds, sampling.random_start)
    else:
        sampler = Tiles(table, whole_contigs(table), width, width, max(sampling.shortest or 1, least))
    return sampler


def whole_contigs(table: GenomeTable) -> np.ndarray:
    """Return the span from the first to the last base of the split on each of its contigs, int64 (C', 3)."""
    contigs = np.unique(table.intervals[:, 0])
    first = np.searchsorted(table.intervals[:, 0], contigs)
    last = np.searchsorted(table.intervals[:, 0], contigs, side="right") - 1
    return np.stack((contigs, table.intervals[first, 1], table.intervals[last, 2]), 1)
