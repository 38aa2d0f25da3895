"""Reading samples on the other strand: letters, structures, weights and variants are reversed together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data_prep.corpus import Ragged
from data_prep.nucleotides import complement_table
from pretrain.data.raw_batch import RawBatch, Variants

COMPLEMENTS = {alphabet: complement_table(alphabet) for alphabet in ("rna", "dna")}


def _swapped_brackets() -> np.ndarray:
    """What each symbol of a structure is when read backwards: brackets and letters of pseudoknots change sides."""
    table = np.arange(256, dtype=np.uint8)
    for opening, closing in ("()", "[]", "{}", "<>", *((chr(c), chr(c + 32)) for c in range(ord("A"), ord("Z") + 1))):
        table[[ord(opening), ord(closing)]] = ord(closing), ord(opening)
    return table


SWAPPED = _swapped_brackets()


def reverse_complemented(raw: RawBatch, turned: np.ndarray, alphabet: str) -> RawBatch:
    """Return the batch with samples ``turned``, bool (S,), read on the other strand.

    Structures keep their pairs; the energy is that of another molecule, so a turned sample has none.
    """
    if not turned.any():
        return raw
    source, is_turned = _mirrored(raw.sequences.offsets, turned)
    letters = raw.sequences.values[source]
    letters = np.where(is_turned, COMPLEMENTS[alphabet][letters], letters)
    symbols, is_turned_symbol = _mirrored(raw.structure.offsets, turned)
    structure = raw.structure.values[symbols]
    lengths = np.diff(raw.sequences.offsets)
    return replace(
        raw,
        sequences=Ragged(letters, raw.sequences.offsets),
        structure=Ragged(np.where(is_turned_symbol, SWAPPED[structure], structure), raw.structure.offsets),
        mfe_kcal_per_mol=np.where(turned, np.float32(np.nan), raw.mfe_kcal_per_mol),
        variants=_turned_variants(raw.variants, turned, lengths),
        weights=None if raw.weights is None else raw.weights[source],
    )


def _mirrored(offsets: np.ndarray, turned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each value comes from, int64 (L,), when turned rows are read backwards; and which values those are."""
    lengths = np.diff(offsets)
    is_turned = np.repeat(turned, lengths)
    index = np.arange(offsets[-1])
    mirror = np.repeat(offsets[:-1] + offsets[1:] - 1, lengths)
    return np.where(is_turned, mirror - index, index), is_turned


def _turned_variants(variants: Variants, turned: np.ndarray, lengths: np.ndarray) -> Variants:
    if not len(variants.row):
        return variants
    here = turned[variants.row]
    column = np.where(here, lengths[variants.row] - 1 - variants.column, variants.column)
    freq = variants.freq.copy()
    freq[here] = freq[here, ::-1]  # A, C, G, T backwards is T, G, C, A: the complement
    order = np.lexsort((column, variants.row))
    return Variants(variants.row[order], column[order], freq[order])
