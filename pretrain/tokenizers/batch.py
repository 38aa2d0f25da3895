"""Sequences as token ids: the ragged batch every tokenizer makes, and what a tokenizer offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from data_prep.corpus import Ragged


@dataclass(frozen=True)
class TokenBatch:
    """S tokenised sequences of N tokens in all, one after another without padding."""

    ids: np.ndarray  # int32 (N,)
    offsets: np.ndarray  # int64 (S+1,): sequence s is ids[offsets[s]:offsets[s + 1]]
    maskable: np.ndarray  # bool (N,): nucleotides and k-mers, unknown ones included; not specials, not label slots
    label_position: np.ndarray | None = (
        None  # int64 (S,): flat index of each RNA type slot; None in layouts without one
    )

    @cached_property
    def nucleotide(self) -> np.ndarray:
        """0-based index in its sequence of each token's first nucleotide, -1 where none, int32 (N,).

        One special token comes first, and consecutive tokens begin one nucleotide apart. Few ask, so it waits.
        """
        index = np.arange(-1, len(self.ids) - 1, dtype=np.int32)
        index -= np.repeat(self.offsets[:-1].astype(np.int32), self.lengths)
        return np.where(self.maskable, index, np.int32(-1))

    @cached_property
    def sequence(self) -> np.ndarray:
        """The sequence of each token, int64 (N,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each sequence, specials included, int64 (S,)."""
        return np.diff(self.offsets)

    def per_sequence(self, marked: np.ndarray) -> np.ndarray:
        """How many marked tokens, bool (N,), each sequence has: int64 (S,)."""
        running = np.zeros(len(marked) + 1, np.int64)
        np.cumsum(marked, out=running[1:])
        return running[self.offsets[1:]] - running[self.offsets[:-1]]


class Tokenizer(Protocol):
    """Text of nucleotides to the ids of a published vocabulary."""

    name: str
    vocab: tuple[str, ...]  # token of each id
    pad_id: int
    unk_id: int
    cls_id: int
    eos_id: int  # the token that ends a sequence, called [SEP] in BERT vocabularies
    mask_id: int
    special_ids: frozenset[int]
    nucleotide_ids: np.ndarray  # int32: ids of A, C, G, U (or T) in this order; of all k-mers for k-mer vocabularies
    nucleotides_per_token: int  # k; consecutive tokens overlap by k - 1
    min_nucleotides: int  # the shortest sequence that has a token of its own
    has_label_slot: bool  # the layout ends with an RNA type

    def token_count(self, lengths: np.ndarray) -> np.ndarray:
        """Nucleotides (S,) to tokens, specials included, int64 (S,)."""

    def max_nucleotides(self, max_tokens: int) -> int:
        """The longest sequence that fits in ``max_tokens``."""

    def encode(self, sequences: Ragged, rna_types: Sequence[str | None] | None = None) -> TokenBatch:
        """ASCII bytes of S sequences to tokens; ``rna_types`` fill the label slots of layouts that have them."""

    def encode_text(self, text: str) -> np.ndarray:
        """One text to ids int32 (T,), by the rules of the exported tokenizer: blanks are dropped, and special tokens
        spelled out in the text (``AUG<mask>AUG``) are recognised."""


def join_with_specials(
    units: np.ndarray, starts: np.ndarray, ends: np.ndarray, first: int, last: Sequence[int]
) -> np.ndarray:
    """Ids int32 (N,) of sequences laid out as ``first, units, *last``.

    Copying stretches of narrow integers is several times faster than scattering int32 by a mask.

    Args:
        units: ids of the letters or k-mers of all sequences, uint8 or uint16.
        starts, ends: int64 (S,), what is a sequence's own in ``units``; ends may lie before starts: nothing is.
    """
    data, width = units.tobytes(), units.itemsize
    stretches = [data[a:b] for a, b in zip((starts * width).tolist(), (ends * width).tolist(), strict=True)]
    if not stretches:
        return np.empty(0, np.int32)
    head, tail = np.array([first], units.dtype).tobytes(), np.array(last, units.dtype).tobytes()
    return np.frombuffer(head + (tail + head).join(stretches) + tail, units.dtype).astype(np.int32)


def ragged_arange(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The indices start, start + 1, ... of many spans, one span after another.

    Args:
        starts: int64 (K,).
        lengths: int64 (K,), zero allowed.

    Returns:
        int64 (sum of lengths,).
    """
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(total, dtype=np.int64)
