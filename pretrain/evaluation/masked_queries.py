"""Which tokens must be hidden so that a nucleotide cannot be read off its neighbours."""

from __future__ import annotations

import numpy as np

from data_prep.corpus import Ragged
from pretrain.evaluation.passes import Query
from pretrain.tokenizers import Tokenizer


def encode_rows(tokenizer: Tokenizer, sequences: Ragged) -> list[np.ndarray]:
    """Ids int32 (T,) of each sequence, specials included."""
    tokens = tokenizer.encode(sequences)
    return np.split(tokens.ids, tokens.offsets[1:-1])


def nucleotide_query(tokenizer: Tokenizer, ids: np.ndarray, nucleotide: int) -> Query:
    """Hides one nucleotide and asks for it.

    With single-letter tokens that is one token. A vocabulary of k-mers shows each nucleotide in up to k tokens: all of
    them are hidden, as in contiguous k-mer masking, and the middle one is read. All its other letters can be seen in
    the tokens around, so the probability of the right k-mer is that of the nucleotide.

    Args:
        ids: int32 (T,) of the whole sequence.
        nucleotide: 0-based.
    """
    k = tokenizer.nucleotides_per_token
    windows = len(ids) - int(tokenizer.token_count(np.zeros(1, np.int64))[0])
    first, last = max(0, nucleotide - k + 1), min(nucleotide, windows - 1)
    return Query(ids, np.arange(first, last + 1) + 1, (first + last) // 2 + 1)
