"""The tokens that must be hidden so that a nucleotide cannot be read off its neighbors."""

from __future__ import annotations

import numpy as np

from data_prep.corpus import Ragged
from pretrain.evaluation.passes import Query
from pretrain.tokenizers import Tokenizer


def encode_rows(tokenizer: Tokenizer, sequences: Ragged) -> list[np.ndarray]:
    """Encode each sequence, specials included: ids int32 (T,)."""
    tokens = tokenizer.encode(sequences)
    return np.split(tokens.ids, tokens.offsets[1:-1])


def nucleotide_query(tokenizer: Tokenizer, ids: np.ndarray, nucleotide: int) -> Query:
    """Build the query that hides and predicts one nucleotide.

    With single-letter tokens that is one token. A vocabulary of k-mers shows each nucleotide in up to k tokens: all of
    them are hidden, as in contiguous k-mer masking, and the middle one is read. All its other letters can be seen in
    the tokens around, so the probability of the right k-mer is that of the nucleotide. If tokens lie side by side
    (codons, byte pairs), the one that holds the nucleotide is hidden with all its letters.

    Args:
        tokenizer: of the model.
        ids: int32 (T,) of the whole sequence.
        nucleotide: 0-based; one behind the last whole token counts to that token.
    """
    count, advance = len(ids) - tokenizer.lengths.specials, tokenizer.advance
    if isinstance(advance, np.ndarray):
        begins = np.cumsum(advance[ids[tokenizer.leading : tokenizer.leading + count]])
        first = last = min(int(np.searchsorted(begins, nucleotide, side="right")), count - 1)
    else:
        behind = max(0, nucleotide - tokenizer.nucleotides_per_token + 1)
        last = min(nucleotide // advance, count - 1)
        first = min(-(-behind // advance), last)
    return Query(ids, np.arange(first, last + 1) + tokenizer.leading, (first + last) // 2 + tokenizer.leading)


def letters_each(tokenizer: Tokenizer, token: int) -> int:
    """Return how many nucleotides are predicted when a token is hidden: all its letters, one if tokens overlap."""
    advance = tokenizer.advance
    return int(advance[token]) if isinstance(advance, np.ndarray) else advance
