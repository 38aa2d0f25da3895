"""Samples as a source reads them: sequences and the labels that came with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.corpus import Ragged
from data_prep.corpus.ragged import offsets_of
from pretrain.data.ragged import concatenate, take


@dataclass(frozen=True)
class Variants:
    """Bases with more than one allele, sparse over the nucleotides of a batch of sequences."""

    row: np.ndarray  # int64 (R,) sequence
    column: np.ndarray  # int64 (R,) nucleotide, 0-based
    freq: np.ndarray  # float32 (R, 4) of A, C, G, T; rows sum to 1


NO_VARIANTS = Variants(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4), np.float32))


@dataclass(frozen=True)
class RawBatch:
    """S samples of L nucleotides in all."""

    sequences: Ragged  # ASCII, uint8
    structure: Ragged  # dot-bracket, uint8; empty rows have no label
    mfe_kcal_per_mol: np.ndarray  # float32 (S,), NaN: no label
    rna_type: list[str | None]
    variants: Variants
    has_alleles: np.ndarray  # bool (S,): comes from an allele-frequency corpus
    weights: np.ndarray | None = None  # float32 (L,): what a target at each nucleotide counts for; None: one each
    crop: TokenCrop | None = None  # where lengths are measured, samples are cropped when they are tokens


@dataclass(frozen=True)
class TokenCrop:
    """Tokens to keep, specials included, int64 (S,); and which: 0 the first ones, 1 the last ones, float64 (S,)."""

    limit: np.ndarray
    place: np.ndarray


def merge(parts: list[RawBatch], order: np.ndarray) -> RawBatch:
    """Merge samples of several sources: sample i is row ``order[i]`` (int64 (S,)) of the parts end to end."""
    if len(parts) == 1 and np.array_equal(order, np.arange(len(order))):
        return parts[0]
    first_row = np.concatenate(([0], np.cumsum([len(part.rna_type) for part in parts])))
    place = np.argsort(order)
    types = [rna_type for part in parts for rna_type in part.rna_type]
    return RawBatch(
        take(concatenate([part.sequences for part in parts]), order),
        take(concatenate([part.structure for part in parts]), order),
        np.concatenate([part.mfe_kcal_per_mol for part in parts])[order],
        [types[row] for row in order],
        _sorted(
            Variants(
                place[
                    np.concatenate([part.variants.row + row for part, row in zip(parts, first_row[:-1], strict=True)])
                ],
                np.concatenate([part.variants.column for part in parts]),
                np.concatenate([part.variants.freq for part in parts]),
            )
        ),
        np.concatenate([part.has_alleles for part in parts])[order],
        _weights(parts, order),
        _crop(parts, order),
    )


def _weights(parts: list[RawBatch], order: np.ndarray) -> np.ndarray | None:
    if all(part.weights is None for part in parts):
        return None
    values = [np.ones(part.sequences.offsets[-1], np.float32) if part.weights is None else part.weights
              for part in parts]  # fmt: skip
    lengths = np.concatenate([np.diff(part.sequences.offsets) for part in parts])
    return take(Ragged(np.concatenate(values), offsets_of(lengths)), order).values


def _crop(parts: list[RawBatch], order: np.ndarray) -> TokenCrop | None:
    crops = [part.crop for part in parts if part.crop is not None]
    if not crops:
        return None
    assert len(crops) == len(parts)  # one tokenizer reads all sources
    return TokenCrop(
        np.concatenate([crop.limit for crop in crops])[order], np.concatenate([crop.place for crop in crops])[order]
    )


def _sorted(variants: Variants) -> Variants:
    order = np.lexsort((variants.column, variants.row))
    return Variants(variants.row[order], variants.column[order], variants.freq[order])
