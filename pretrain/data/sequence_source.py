"""Samples of a corpus of sequences: one per sequence, cropped or skipped where it is too long."""

from __future__ import annotations

import numpy as np

from data_prep.corpus import Ragged, SequenceTable
from pretrain.config.corpus import Corpus as CorpusSettings
from pretrain.data import soft_mask
from pretrain.data.held_out import reasons
from pretrain.data.ragged import slices
from pretrain.data.raw_batch import NO_VARIANTS, RawBatch, TokenCrop
from pretrain.data.strands import reverse_complemented
from pretrain.errors import PolymeraseError
from pretrain.rng import SampleRng
from pretrain.tokenizers import Measured, Tokenizer


class SequenceSource:
    """The sequences of a corpus; those beyond ``max_tokens`` are cropped or skipped, those without a token are skipped.

    Args:
        table: the rows.
        tokenizer: its lengths follow from nucleotides, or ``counts`` are given.
        settings: the section ``corpus`` of the run.
        max_tokens: specials included.
        counts: tokens of every row, (rows,), if lengths are measured.
        alphabet: of the corpus, ``rna`` or ``dna``.
        held_out: rows that other corpora of the mixture hold out, see :class:`pretrain.data.held_out.HeldOut`.
    """

    def __init__(
        self,
        table: SequenceTable,
        tokenizer: Tokenizer,
        settings: CorpusSettings,
        max_tokens: int,
        counts: np.ndarray | None = None,
        alphabet: str = "rna",
        held_out: np.ndarray | None = None,
    ):
        self._table, self._settings, self._alphabet = table, settings, alphabet
        self._rule, self._max_tokens, self._counts = tokenizer.lengths, max_tokens, counts
        self._stride = 1 if isinstance(self._rule, Measured) else self._rule.stride
        self._lengths = lengths = np.asarray(table.lengths)
        short = lengths < tokenizer.min_nucleotides
        if counts is None:
            self._max_nt = tokenizer.max_nucleotides(max_tokens)
            beyond, limit = lengths > self._max_nt, f"{self._max_nt} nt"
        else:
            self._max_nt = int(lengths.max(initial=0))  # cropped when they are tokens
            beyond, limit = counts > max_tokens, f"{max_tokens} tokens"
        long = beyond if settings.too_long == "skip" else np.zeros_like(short)
        self.skipped = {"shorter than one token": int(short.sum()), f"longer than {limit}": int(long.sum())}
        self._check_frame()
        left_out = short | long
        if held_out is not None:
            left_out |= np.unpackbits(held_out[0] | held_out[1], count=len(lengths)).astype(bool)
            self.skipped |= reasons(held_out)
        self._rows = _small(np.flatnonzero(~left_out)) if left_out.any() else None
        self.index_bytes = lengths.nbytes + (0 if self._rows is None else self._rows.nbytes)
        self.size = len(lengths) if self._rows is None else len(self._rows)

    def token_counts(self, index: np.ndarray) -> np.ndarray:
        """Return tokens of samples after cropping, see ``Source.token_counts``."""
        rows = self._to_rows(index)
        if self._counts is not None:
            return np.minimum(self._counts[rows].astype(np.int64), self._max_tokens)
        return self._rule.tokens(np.minimum(self._lengths[rows], self._max_nt))

    def clusters(self) -> np.ndarray | None:
        """The cluster of each sample, int64 (size,), -1 for samples in none; None where the corpus has no clusters."""
        if not self._table.has("cluster"):
            return None
        codes = self._table.codes("cluster")
        return codes if self._rows is None else codes[self._rows]

    def read(self, index: np.ndarray, rng: SampleRng) -> RawBatch:
        """Read samples, cropped at random if they are too long, see ``Source.read``."""
        rows = self._to_rows(index)
        lengths = self._lengths[rows].astype(np.int64)
        kept = np.minimum(lengths, self._max_nt)
        kept -= kept % self._stride
        start = self._crop_start(lengths - kept, rng)
        table = self._table
        crop, whole = None, kept == lengths
        if self._counts is not None:
            crop = TokenCrop(np.full(len(rows), self._max_tokens), self._place(len(rows), rng))
            whole = self._counts[rows] <= self._max_tokens
        sequences, weights = self._masked(slices(table.gather(rows), start, kept), rows, lengths, start, kept)
        raw = RawBatch(
            sequences,
            self._structure(rows, start, kept),
            # the energy belongs to the whole molecule, so a cropped sample has none
            np.where(whole, self._mfe(rows), np.float32(np.nan)),
            table.rna_type(rows) if table.has("rna_type") else [None] * len(rows),
            NO_VARIANTS,
            np.zeros(len(rows), bool),
            weights,
            crop,
        )
        share = self._settings.reverse_complement
        if not share or (self._alphabet == "rna" and not self._settings.reverse_complement_rna):
            return raw
        turned = rng.uniform("reverse_complement") < share
        return reverse_complemented(raw, turned, self._alphabet)

    def _check_frame(self) -> None:
        """Sequences that are not a whole number of codons: an error, or counted where they lose their last letters."""
        partial = int(np.count_nonzero(self._lengths % self._stride)) if self._stride > 1 else 0
        if not partial:
            return
        if self._settings.partial_codon == "error":
            row = int(np.flatnonzero(self._lengths % self._stride)[0])
            raise PolymeraseError(
                f"corpus: sequence {self._table.ids(np.array([row]))[0]!r} has {self._lengths[row]} nt, which is not a "
                f"whole number of codons ({partial:,} such sequences); fix them, or drop their last letters with "
                "corpus.partial_codon=crop"
            )
        self.skipped["last letters of partial codons (sequences)"] = partial

    def _to_rows(self, index: np.ndarray) -> np.ndarray:
        return index if self._rows is None else self._rows[index]

    def _crop_start(self, excess: np.ndarray, rng: SampleRng) -> np.ndarray:
        if self._settings.crop == "keep_start" or not excess.any():
            return np.zeros_like(excess)
        steps = excess // self._stride  # codons stay in frame
        if self._settings.crop == "keep_end":
            return steps * self._stride
        return np.floor(rng.uniform("crop") * (steps + 1)).astype(np.int64) * self._stride

    def _place(self, count: int, rng: SampleRng) -> np.ndarray:
        if self._settings.crop == "random":
            return rng.uniform("crop")
        return np.full(count, float(self._settings.crop == "keep_end"))

    def _masked(
        self, sequences: Ragged, rows: np.ndarray, lengths: np.ndarray, start: np.ndarray, kept: np.ndarray
    ) -> tuple[Ragged, np.ndarray | None]:
        """Letters with the case that the run wants, and their weights."""
        weighted = self._settings.soft_mask_weight != 1.0
        if not (weighted or not self._settings.upper_case) or not self._table.has("soft_mask"):
            return sequences, None
        masked = soft_mask.masked_letters(self._table.gather_text("soft_mask", rows), lengths)
        masked = soft_mask.cut(masked, lengths, start, kept)
        weights = soft_mask.weights_of(masked, self._settings.soft_mask_weight) if weighted else None
        if not self._settings.upper_case:
            sequences = Ragged(soft_mask.lower_case(sequences.values, masked), sequences.offsets)
        return sequences, weights

    def _structure(self, rows: np.ndarray, start: np.ndarray, kept: np.ndarray) -> Ragged:
        if not self._table.has("structure"):
            return Ragged(np.zeros(0, np.uint8), np.zeros(len(rows) + 1, np.int64))
        structure = self._table.gather_text("structure", rows)
        labeled = np.diff(structure.offsets) > 0
        return slices(structure, np.where(labeled, start, 0), np.where(labeled, kept, 0))

    def _mfe(self, rows: np.ndarray) -> np.ndarray:
        if not self._table.has("mfe_kcal_per_mol"):
            return np.full(len(rows), np.nan, np.float32)
        return self._table.mfe_kcal_per_mol(rows)


def _small(rows: np.ndarray) -> np.ndarray:
    """Row numbers in half the memory, where they fit."""
    return rows.astype(np.uint32) if not len(rows) or rows[-1] < 2**32 else rows
