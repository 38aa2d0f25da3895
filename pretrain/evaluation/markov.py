"""Markov chains over nucleotides: what a masked letter costs a model that only knows the letters next to it.

Fitted on training sequences, scored on the very targets of masked language modelling. The chain sees the true letters
around a target, also those that are hidden from the model, which makes it a strict baseline.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from data_prep.corpus import Ragged
from data_prep.corpus.ragged import offsets_of
from pretrain.batches.collate import MicroBatch
from pretrain.tokenizers import Tokenizer

ORDERS = (1, 2, 3, 4, 5)
MASKED = ("mlm", "soft_label")  # objectives that ask for hidden tokens
OTHER = 4  # any letter but A, C, G, U/T, and what lies beyond both ends
_PRIOR = 2.0  # observations that the next lower order counts for


@dataclass(frozen=True)
class Targets:
    """Tokens of masked language modelling, with the letters around them.

    codes: uint8, letters of all sequences, 0-3 = A, C, G, U/T; runs of OTHER as long as the highest order lie between.
    first: int64 (M,), index into codes of each target's first letter. hidden: bool (M, k), which letters of the target
    cannot be seen in any token that was left. usable: bool (M,), the target is a nucleotide or k-mer.
    length: int64 (M,), nucleotides of its sequence.
    """

    codes: np.ndarray
    first: np.ndarray
    hidden: np.ndarray
    usable: np.ndarray
    length: np.ndarray


def chain_name(key: str) -> str:
    """``markov_both_5`` -> what a reader is told."""
    _, side, order = key.split("_")
    return f"Markov chain of order {order}, " + {"left": "left context", "both": "both sides"}[side]


class MarkovChains:
    """Chains of order 0 to 5 of one set of sequences; an order falls back on the one below where it has seen little."""

    def __init__(self, sequences: Iterable[np.ndarray]):
        """sequences: arrays of codes with OTHER between sequences, at least five in a row."""
        counts = [np.zeros((5**order, 4)) for order in (0, *ORDERS)]
        for codes in sequences:
            known = np.flatnonzero(codes < OTHER)
            for order, table in enumerate(counts):
                cell = _context(codes, known, order) * 4 + codes[known]
                table += np.bincount(cell, minlength=table.size).reshape(table.shape)
        share = np.full((1, 4), 0.25)
        self._log: list[np.ndarray] = []
        for order, table in enumerate(counts):
            # row c of an order is row c mod 5^(order-1) of the order below: the letter farthest away is dropped
            below = share[np.arange(5**order) % max(1, 5 ** (order - 1))]
            share = (table + _PRIOR * below) / (table.sum(axis=1, keepdims=True) + _PRIOR)
            self._log.append(np.log(share))

    def losses(self, targets: Targets, share: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Name -> loss in nats (M,), NaN where not usable: every order from the left; from both sides, single letters
        only, where hidden letters of a k-mer would have to be summed over.

        Args:
            share: float (M, 4), how often each letter is the right one; None: the letter of the sequence always is.
        """
        if share is None:
            found = {f"markov_left_{order}": self.from_left(targets, order) for order in ORDERS}
            if targets.hidden.shape[1] == 1:
                found |= {f"markov_both_{order}": self.from_both_sides(targets, order) for order in ORDERS}
            return found
        left = {f"markov_left_{order}": self._log[order][self._before(targets, order)] for order in ORDERS}
        both = {f"markov_both_{order}": self.log_shares(targets, order) for order in ORDERS}
        return {
            name: np.where(targets.usable, -(share * log_share).sum(axis=1), np.nan)
            for name, log_share in (left | both).items()
        }

    def from_left(self, targets: Targets, order: int) -> np.ndarray:
        """Loss in nats (M,) of predicting the hidden letters of each target, each from the ``order`` letters before.

        Letters of k-mers that other tokens show cost nothing. Unusable targets are NaN.
        """
        loss = np.zeros(len(targets.first))
        for j in range(targets.hidden.shape[1]):
            at = targets.first + j
            letter = targets.codes[at]
            step = -self._log[order][_context(targets.codes, at, order), np.minimum(letter, 3)]
            loss += np.where(targets.hidden[:, j] & (letter < OTHER), step, 0.0)
        return np.where(targets.usable, loss, np.nan)

    def from_both_sides(self, targets: Targets, order: int) -> np.ndarray:
        """Loss in nats (M,) of single letters given all others (see ``log_shares``). NaN: not usable."""
        true = np.minimum(targets.codes[targets.first], 3)[:, None]
        return np.where(targets.usable, -np.take_along_axis(self.log_shares(targets, order), true, 1)[:, 0], np.nan)

    def log_shares(self, targets: Targets, order: int) -> np.ndarray:
        """log P(letter | all others) (M, 4) of single letters, which a chain of this order gives exactly: proportional
        to the product of the order + 1 transitions that the letter takes part in."""
        table, codes = self._log[order], targets.codes
        score = np.zeros((len(targets.first), 4))
        around = codes[targets.first[:, None] + np.arange(-order, order + 1)]  # (M, 2 order + 1)
        for letter in range(4):
            around[:, order] = letter
            for shift in range(order + 1):
                at = order + shift
                context = np.zeros(len(around), np.int64)
                for j in range(order):
                    context = context * 5 + around[:, at - order + j]
                following = around[:, at]
                score[:, letter] += np.where(following < OTHER, table[context, np.minimum(following, 3)], 0.0)
        return score - np.logaddexp.reduce(score, axis=1, keepdims=True)

    def _before(self, targets: Targets, order: int) -> np.ndarray:
        return _context(targets.codes, targets.first, order)


def targets_of(batch: MicroBatch, tokenizer: Tokenizer, objective: str = "mlm") -> Targets:
    """The targets of a micro-batch for an objective that asks for hidden tokens (mlm, soft_label), in their order."""
    k, margin = tokenizer.nucleotides_per_token, ORDERS[-1]
    ids = batch.packed.input_ids.numpy().copy()
    for name in MASKED:
        if batch.counts.get(name):
            ids[batch.targets[name]["index"].numpy()] = batch.targets[name]["target"].numpy()
    index = batch.targets[objective]["index"].numpy()
    offsets = offsets_of(np.array(batch.packed.lengths))
    sequence = np.searchsorted(offsets, index, side="right") - 1
    letters = letters_of(Ragged(ids, offsets), tokenizer)
    starts = letters.offsets[:-1] + margin * np.arange(1, len(letters) + 1)  # with a margin before each sequence
    codes = np.full(letters.offsets[-1] + margin * (len(letters) + 1), OTHER, np.uint8)
    codes[np.arange(letters.offsets[-1]) + np.repeat(starts - letters.offsets[:-1], letters.lengths)] = letters.values
    token = index - offsets[sequence] - 1  # number of the target among the letters (k-mers) of its sequence
    windows = letters.lengths[sequence] - k + 1
    usable = (token >= 0) & (token < windows) & np.isin(ids[index], tokenizer.nucleotide_ids)
    selected = np.zeros(len(ids) + 2 * k, bool)
    selected[index + k] = True
    hidden = np.ones((len(index), k), bool)
    for j in range(k):  # letter j of token t is also in tokens t + j - k + 1 to t + j
        for other in range(j - k + 1, j + 1):
            exists = (token + other >= 0) & (token + other < windows)
            hidden[:, j] &= selected[index + k + other] | ~exists
    first = np.where(usable, starts[sequence] + token, margin)
    return Targets(codes, first, hidden, usable, letters.lengths[sequence])


def letters_of(tokens: Ragged, tokenizer: Tokenizer) -> Ragged:
    """Codes uint8 of the letters that token ids stand for, without special tokens (k-mers: all their letters)."""
    k = tokenizer.nucleotides_per_token
    tail = int(tokenizer.token_count(np.zeros(1, np.int64))[0]) - 1
    table = np.full((len(tokenizer.vocab), k), OTHER, np.uint8)
    for number in tokenizer.nucleotide_ids.tolist():
        table[number] = ["ACGU".index(letter.replace("T", "U")) for letter in tokenizer.vocab[number]]
    rows = []
    for start, stop in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True):
        ids = tokens.values[start + 1 : stop - tail]
        rows.append(np.concatenate([table[ids, 0], table[ids[-1], 1:]]) if len(ids) else np.zeros(0, np.uint8))
    return Ragged(np.concatenate(rows), offsets_of(np.array([len(row) for row in rows])))


def _context(codes: np.ndarray, at: np.ndarray, order: int) -> np.ndarray:
    """Number of the ``order`` letters before each position (M,), the farthest one most significant."""
    context = np.zeros(len(at), np.int64)
    for back in range(order, 0, -1):
        context = context * 5 + codes[at - back]
    return context
