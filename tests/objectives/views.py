"""What an objective sees, made by hand."""

import numpy as np

from data_prep.corpus import Ragged
from pretrain.data.ragged import row_of_value
from pretrain.data.raw_batch import NO_VARIANTS, RawBatch, Variants
from pretrain.masking import Masked
from pretrain.objectives import SampleView
from pretrain.tokenizers import Tokenizer


def view_of(
    tokenizer: Tokenizer,
    sequences: list[str],
    *,
    structures: list[str] | None = None,
    energies: list[float] | None = None,
    types: list[str | None] | None = None,
    variants: Variants = NO_VARIANTS,
    alleles: list[bool] | None = None,
    selected: list[int] | None = None,
    strategy: list[int] | None = None,
) -> SampleView:
    """``selected`` are flat token positions; ``energies`` use NaN, the others None or "" for no label."""
    count = len(sequences)
    reads = RawBatch(
        Ragged.from_rows(sequence.encode() for sequence in sequences),
        Ragged.from_rows(structure.encode() for structure in structures or [""] * count),
        np.array(energies or [np.nan] * count, np.float32),
        types or [None] * count,
        variants,
        np.array(alleles or [False] * count),
    )
    tokens = tokenizer.encode(reads.sequences, reads.rna_type if tokenizer.has_label_slot else None)
    positions = np.array(selected or [], np.int64)
    hidden = tokens.ids.copy()
    hidden[positions] = tokenizer.mask_id
    masked = Masked(positions, hidden, np.ones(len(positions), bool), np.array(strategy or [0] * count, np.uint8))
    return SampleView(
        reads, tokens, masked, row_of_value(tokens.offsets), tokens.offsets[variants.row] + 1 + variants.column
    )
