"""Token targets of a micro-batch as letters: what the model sees of them, and the right answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.corpus import Ragged
from pretrain.batches.collate import MicroBatch
from pretrain.objectives import Objective
from pretrain.tokenizers import Tokenizer

OTHER = 4  # any letter but A, C, G, U/T, and what lies beyond both ends
HIDDEN = 5  # a letter that no visible token shows
SYMBOLS = 6
MARGIN = 16  # symbols OTHER between sequences: the longest context


class LetterTable:
    """The letters of every token of a vocabulary.

    Attributes:
        k: letters per token.
        stride: letters from one token to the next; below k tokens overlap.
        fixed: whether all nucleotide tokens have k letters; if not (byte pairs), letters do not determine the token.
        codes: uint8 (V, k), 0-3 = A, C, G, U/T.
        length: int64 (V,), letters of a token; 0 for special tokens.
    """

    def __init__(self, tokenizer: Tokenizer):
        vocab, nucleotide = tokenizer.vocab, tokenizer.nucleotide_ids.tolist()
        texts = [vocab[number].upper().replace("T", "U") for number in nucleotide]
        sizes = np.array([len(text) for text in texts])
        self.k = int(np.bincount(sizes).argmax())
        self.fixed = bool((sizes == self.k).mean() > 0.9)
        self.codes = np.full((len(vocab), self.k), OTHER, np.uint8)
        self.length = np.zeros(len(vocab), np.int64)
        for number, text in zip(nucleotide, texts, strict=True):
            self.length[number] = len(text)
            if len(text) <= self.k:
                self.codes[number, : len(text)] = ["ACGU".find(letter) % (OTHER + 1) for letter in text]
        for number, token in enumerate(vocab):  # other letters have a place too
            if number not in tokenizer.special_ids and len(token) == 1 and token.isalpha():
                self.length[number] = 1
        for number, size in ((tokenizer.unk_id, 1), (tokenizer.mask_id, self.k)):  # where nobody asks what was hidden
            if number >= 0:
                self.length[number] = size
        probe = tokenizer.encode(Ragged.from_rows([b"ACGT" * (2 * self.k)]))
        first = probe.nucleotide[probe.maskable]
        self.stride = int(first[1] - first[0]) if self.fixed else self.k
        self.mask_id = tokenizer.mask_id
        self.nucleotide = np.zeros(len(vocab), bool)
        self.nucleotide[tokenizer.nucleotide_ids] = self.length[tokenizer.nucleotide_ids] == self.k

    @property
    def overlaps(self) -> bool:
        """Whether a letter is part of several tokens."""
        return self.stride < self.k


@dataclass(frozen=True)
class TokenTargets:
    """M targets among the letters of their sequences; between sequences lie MARGIN symbols OTHER.

    Attributes:
        true: uint8, the original letters.
        seen: uint8, the letters as the model sees them: HIDDEN, or shown (random ones too).
        first: int64 (M,), index in both at which each target begins.
        unknown: bool (M, k), letters of the target that no other visible token shows.
        token: int64 (M,), the right token; of soft labels the reference.
        shown: int64 (M,), the token in its place; -1 if that is the mask token, or nothing.
        usable: bool (M,), whether the target is a nucleotide (k-mer).
        share: float64 (M, 4), frequency of each letter, of soft labels; otherwise None.
        shown_share: float64 (M, 4), the letter shown; a mixture of letters for allele frequencies.
        length: int64 (M,), letters of its sequence.
    """

    true: np.ndarray
    seen: np.ndarray
    first: np.ndarray
    unknown: np.ndarray
    token: np.ndarray
    shown: np.ndarray
    usable: np.ndarray
    share: np.ndarray | None
    shown_share: np.ndarray
    length: np.ndarray

    @property
    def is_hidden(self) -> np.ndarray:
        """Whether each target is hidden, bool (M,)."""
        return self.shown < 0


def token_targets(batch: MicroBatch, name: str, objectives: dict[str, Objective], table: LetterTable) -> TokenTargets:
    """Return the targets of an objective that predicts tokens, in their order."""
    following = objectives[name].scope == "next_tokens"
    shown_ids = batch.packed.input_ids.numpy()
    ids, selected = shown_ids.copy(), np.zeros(len(shown_ids), bool)
    for other, arrays in batch.targets.items():
        if batch.counts[other] and objectives[other].scope == "hidden_tokens":
            ids[arrays["index"].numpy()] = arrays["target"].numpy()
            selected[arrays["index"].numpy()] = True
    offsets = batch.packed.cu_seqlens.numpy().astype(np.int64)
    true, place, letters = layout(ids, offsets, table)
    seen = true if following else _seen(true, place, ids, shown_ids, selected, table)
    targets = batch.targets[name]
    index = targets["index"].numpy() + int(following)
    token = targets["target"].numpy()
    first, each = place[index], np.arange(table.k)
    if following:
        unknown = np.broadcast_to(each >= table.k - table.stride, (len(index), table.k))
    elif table.overlaps:
        unknown = seen[np.minimum(first[:, None] + each, len(seen) - 1)] == HIDDEN
    else:
        unknown = np.ones((len(index), table.k), bool)
    shown = np.full(len(index), -1) if following else np.where(shown_ids[index] == table.mask_id, -1, shown_ids[index])
    one_hot = np.eye(SYMBOLS)[:, :4]
    share, shown_share = None, one_hot[np.where(shown < 0, OTHER, table.codes[shown, 0])]
    if "soft_row" in targets:
        share = one_hot[table.codes[token, 0]]
        share[targets["soft_row"].numpy()] = targets["soft_freq"].numpy()
        if batch.packed.soft_rows is not None:
            soft = np.zeros((len(ids), 4))
            soft[batch.packed.soft_rows.positions.numpy()] = batch.packed.soft_rows.freq.numpy()
            here = soft[index].any(axis=1)
            shown_share[here] = soft[index[here]]
    sample = np.searchsorted(offsets, index, side="right") - 1
    return TokenTargets(
        true, seen, first, unknown, token, shown, table.nucleotide[token], share, shown_share, letters[sample]
    )


def layout(ids: np.ndarray, offsets: np.ndarray, table: LetterTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay all letters out with margins between sequences.

    Returns:
        The letters; the index at which each token (N,) begins there; letters per sequence (S,).
    """
    length = table.length[ids]
    if table.overlaps:
        length = np.where(length > 0, table.k, 0)
    advance = np.where(length > 0, table.stride, 0) if table.overlaps else length
    running = np.concatenate(([0], np.cumsum(advance)))
    first = running[:-1] - np.repeat(running[offsets[:-1]], np.diff(offsets))
    letters = np.maximum.reduceat(np.where(length > 0, first + length, 0), offsets[:-1])
    starts = np.cumsum(letters + MARGIN) - letters
    place = np.repeat(starts, np.diff(offsets)) + first
    true = np.full(int((letters + MARGIN).sum()) + MARGIN + table.k, OTHER, np.uint8)
    for j in range(table.k):
        here = table.codes[ids, j] != OTHER
        true[place[here] + j] = table.codes[ids[here], j]
    return true, place, letters


def _seen(
    true: np.ndarray,
    place: np.ndarray,
    ids: np.ndarray,
    shown_ids: np.ndarray,
    selected: np.ndarray,
    table: LetterTable,
) -> np.ndarray:
    if table.overlaps:  # a letter is seen where a token that was left shows it
        shows = table.nucleotide[ids] & ~selected
        steps = np.zeros(len(true) + 1, np.int64)
        np.add.at(steps, place[shows], 1)
        np.add.at(steps, place[shows] + table.k, -1)
        return np.where((np.cumsum(steps)[:-1] > 0) | (true == OTHER), true, HIDDEN).astype(np.uint8)
    seen = true.copy()
    changed = np.flatnonzero(selected & (table.length[ids] > 0))
    for j in range(table.k):
        here = changed[table.length[ids[changed]] > j]
        shown = shown_ids[here]
        seen[place[here] + j] = np.where(shown == table.mask_id, HIDDEN, table.codes[shown, j])
    return seen
