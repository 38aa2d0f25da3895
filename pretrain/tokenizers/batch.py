"""Sequences as token ids: the ragged batch that every tokenizer returns, and the interface of a tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pretrain.tokenizers.lengths import Lengths

if TYPE_CHECKING:
    from data_prep.corpus import Ragged


@dataclass(frozen=True)
class TokenBatch:
    """S tokenized sequences of N tokens in all, one after another without padding.

    Attributes:
        ids: int32 (N,).
        offsets: int64 (S+1,), sequence s is ids[offsets[s]:offsets[s + 1]].
        maskable: bool (N,): nucleotides and k-mers, unknown ones included; not specials, not label slots.
        label_position: int64 (S,), flat index of each RNA type slot; None in layouts without one.
        leading: special tokens before the first nucleotide of each sequence.
        advance: nucleotides from the start of one token to that of the next: one number, or int64 (V,) by id.
        skipped: int64 (S,), nucleotides that were cropped before the first token; None: none were.
    """

    ids: np.ndarray
    offsets: np.ndarray
    maskable: np.ndarray
    label_position: np.ndarray | None = None
    leading: int = 1
    advance: int | np.ndarray = 1
    skipped: np.ndarray | None = None

    @cached_property
    def nucleotide(self) -> np.ndarray:
        """0-based index in its sequence of each token's first nucleotide, -1 where none, int32 (N,).

        Computed on first use, because few callers need it.
        """
        if isinstance(self.advance, np.ndarray):
            before = np.zeros(len(self.ids) + 1, np.int64)
            np.cumsum(np.where(self.maskable, self.advance[self.ids], 0), out=before[1:])
            index = (before[:-1] - np.repeat(before[self.offsets[:-1]], self.lengths)).astype(np.int32)
        else:
            index = np.arange(-self.leading, len(self.ids) - self.leading, dtype=np.int32)
            index -= np.repeat(self.offsets[:-1].astype(np.int32), self.lengths)
            if self.advance != 1:
                index *= self.advance
        if self.skipped is not None:
            index += np.repeat(self.skipped.astype(np.int32), self.lengths)
        return np.where(self.maskable, index, np.int32(-1))

    @cached_property
    def sequence(self) -> np.ndarray:
        """Index of the sequence that each token belongs to, int64 (N,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each sequence, specials included, int64 (S,)."""
        return np.diff(self.offsets)

    def per_sequence(self, marked: np.ndarray) -> np.ndarray:
        """Count the marked tokens, bool (N,), of each sequence: int64 (S,)."""
        running = np.zeros(len(marked) + 1, np.int64)
        np.cumsum(marked, out=running[1:])
        return running[self.offsets[1:]] - running[self.offsets[:-1]]

    def first_token_of(self, row: np.ndarray, nucleotide: np.ndarray) -> np.ndarray:
        """Find the tokens that start at, or else contain, nucleotides (R,) of sequences (R,): flat int64 (R,)."""
        if isinstance(self.advance, int) and self.skipped is None:
            return self.offsets[row] + self.leading + nucleotide // self.advance
        where = np.flatnonzero(self.maskable)
        stretch = int(self.nucleotide.max(initial=0)) + 1  # sequences one after another on one scale
        begins = self.sequence[where] * stretch + self.nucleotide[where]
        return where[np.searchsorted(begins, row * stretch + nucleotide, side="right") - 1]

    def take(self, rows: np.ndarray) -> tuple[TokenBatch, np.ndarray]:
        """Select sequences int64 (S',), without label slots.

        Returns:
            The smaller batch, and the flat positions int64 (N',) that its tokens had here.
        """
        where = ragged_arange(self.offsets[rows], self.lengths[rows])
        offsets = np.concatenate(([0], np.cumsum(self.lengths[rows])))
        skipped = None if self.skipped is None else self.skipped[rows]
        return replace(
            self, ids=self.ids[where], offsets=offsets, maskable=self.maskable[where], label_position=None,
            skipped=skipped,
        ), where  # fmt: skip

    def cropped(self, limit: np.ndarray, place: np.ndarray, trailing: int) -> TokenBatch:
        """Shorten sequences of more than ``limit`` tokens to that many; special tokens at both ends stay.

        Args:
            limit: int64 (S,), tokens, specials included.
            place: float (S,) in [0, 1], which part stays: 0 the first tokens, 1 the last ones.
            trailing: special tokens at the end.
        """
        lengths = self.lengths
        excess = np.maximum(lengths - limit, 0)
        if not excess.any():
            return self
        first = np.minimum(np.floor(place * (excess + 1)).astype(np.int64), excess)
        within = np.arange(len(self.ids)) - np.repeat(self.offsets[:-1], lengths) - self.leading
        inner = np.repeat(lengths - self.leading - trailing, lengths)
        start, kept = np.repeat(first, lengths), inner - np.repeat(excess, lengths)
        stays = (within < 0) | (within >= inner) | ((within >= start) & (within < start + kept))
        begin = np.zeros(len(first), np.int64)
        cut = excess > 0  # the others begin where they began
        begin[cut] = self.nucleotide[(self.offsets[:-1] + self.leading + first)[cut]]
        offsets = np.concatenate(([0], np.cumsum(lengths - excess)))
        return TokenBatch(self.ids[stays], offsets, self.maskable[stays], None, self.leading, self.advance, begin)


class Tokenizer(Protocol):
    """Encoder of nucleotide text into the ids of a published vocabulary."""

    name: str
    vocab: tuple[str, ...]  # token of each id
    pad_id: int
    # Of these four, a vocabulary may have none of a kind; the id is then -1.
    unk_id: int
    cls_id: int  # the token before each sequence
    eos_id: int  # the token that ends a sequence, called [SEP] in BERT vocabularies
    mask_id: int
    special_ids: frozenset[int]
    nucleotide_ids: np.ndarray  # int32: ids of A, C, G, U (or T) in this order; of all k-mers for k-mer vocabularies
    lengths: Lengths  # how many tokens a sequence becomes
    leading: int  # special tokens before the first nucleotide
    advance: int | np.ndarray  # nucleotides from the beginning of one token to that of the next, see TokenBatch
    nucleotides_per_token: int  # k; the most that a token holds where tokens differ
    min_nucleotides: int  # the shortest sequence that has a token of its own
    has_label_slot: bool  # the layout ends with an RNA type

    def token_count(self, lengths: np.ndarray) -> np.ndarray:
        """Return ``lengths.tokens``: nucleotides (S,) to tokens, specials included, int64 (S,)."""

    def max_nucleotides(self, max_tokens: int) -> int:
        """Return ``lengths.nucleotides``: the longest sequence that fits in ``max_tokens``."""

    def encode(self, sequences: Ragged, rna_types: Sequence[str | None] | None = None) -> TokenBatch:
        """Encode S sequences of ASCII bytes; ``rna_types`` fill the label slots of layouts that have them."""

    def encode_text(self, text: str) -> np.ndarray:
        """Encode one text by the rules of the exported tokenizer: ids int32 (T,).

        Blanks are dropped, and special tokens spelled out in the text (``AUG<mask>AUG``) are recognized.
        """


class CountsTokens(Tokenizer, Protocol):
    """A tokenizer whose lengths are measured."""

    def count(self, sequences: Ragged) -> np.ndarray:
        """Count the tokens of each sequence, specials included, int64 (S,)."""


class WithLengths:
    """The length methods of every tokenizer, from its length rule."""

    lengths: Lengths
    advance: int | np.ndarray = 1

    def token_count(self, lengths: np.ndarray) -> np.ndarray:
        """Return tokens of nucleotides (S,), specials included, int64 (S,); an upper bound if lengths are measured."""
        return self.lengths.tokens(lengths)

    def max_nucleotides(self, max_tokens: int) -> int:
        """Return the longest sequence that fits in ``max_tokens``; if lengths are measured, whatever its letters."""
        return self.lengths.nucleotides(max_tokens)


def join_with_specials(
    units: np.ndarray, starts: np.ndarray, ends: np.ndarray, first: Sequence[int], last: Sequence[int]
) -> np.ndarray:
    """Build ids int32 (N,) of sequences laid out as ``*first, units, *last``.

    Copying runs of narrow integers is several times faster than scattering int32 by a mask.

    Args:
        units: ids of the letters or k-mers of all sequences, uint8 or uint16.
        starts: int64 (S,), start in ``units`` of each sequence.
        ends: int64 (S,), its end; a sequence whose end lies before its start is empty.
        first: special ids before each sequence.
        last: special ids after each sequence.
    """
    data, width = units.tobytes(), units.itemsize
    stretches = [data[a:b] for a, b in zip((starts * width).tolist(), (ends * width).tolist(), strict=True)]
    if not stretches:
        return np.empty(0, np.int32)
    head, tail = np.array(first, units.dtype).tobytes(), np.array(last, units.dtype).tobytes()
    return np.frombuffer(head + (tail + head).join(stretches) + tail, units.dtype).astype(np.int32)


def ragged_arange(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the indices start, start + 1, ... of many spans, one span after another.

    Args:
        starts: int64 (K,).
        lengths: int64 (K,), zero allowed.

    Returns:
        int64 (sum of lengths,).
    """
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(total, dtype=np.int64)
