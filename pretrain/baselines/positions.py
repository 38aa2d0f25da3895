"""Baselines of single positions: a class by the letter there, and by its neighbors."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pretrain.baselines.fitting import read_targets
from pretrain.baselines.letters import MARGIN, OTHER, SYMBOLS, LetterTable, layout
from pretrain.batches.collate import MicroBatch
from pretrain.objectives import Objective, ObjectiveContext
from pretrain.tokenizers import Tokenizer

_REACH = 3  # letters looked at on each side
_PRIOR = 2.0  # observations that the next smaller neighborhood counts for
_TARGETS = 2_000_000  # training targets that are counted


class PositionBaselines:
    """Counts of classes by what the model sees at a position: nothing, the letter, and its neighbors step by step.

    Args: see :class:`pretrain.baselines.tokens.TokenBaselines`.
    """

    def __init__(
        self,
        name: str,
        objectives: dict[str, Objective],
        tokenizer: Tokenizer,
        context: ObjectiveContext,
        train: Iterable[MicroBatch],
        sequences: int,
    ):
        self._name, self._table = name, LetterTable(tokenizer)
        seen, classes = read_targets(name, train, self._neighborhoods, _TARGETS)
        target = np.concatenate(classes) if classes else np.zeros(0, np.int64)
        around = np.concatenate(seen) if seen else np.zeros((0, 2 * _REACH + 1), np.uint8)
        self._size = int(target.max(initial=0)) + 1
        self._tables = [(np.zeros(1, np.int64), self._smooth(np.bincount(target, minlength=self._size)[None, :], None))]
        for width in range(_REACH + 1):
            keys, row = np.unique(_key(around, width), return_inverse=True)
            counts = np.bincount(row * self._size + target, minlength=len(keys) * self._size).reshape(-1, self._size)
            _, first = np.unique(row, return_index=True)
            below = self._look_up(len(self._tables) - 1, around[first])
            self._tables.append((keys, self._smooth(counts, below)))

    @staticmethod
    def _smooth(counts: np.ndarray, below: np.ndarray | None) -> np.ndarray:
        lower = np.full((1, counts.shape[1]), 1 / counts.shape[1]) if below is None else below
        return (counts + _PRIOR * lower) / (counts.sum(axis=1, keepdims=True) + _PRIOR)

    def _look_up(self, number: int, around: np.ndarray) -> np.ndarray:
        """Shares (M, classes) of the widest neighborhood up to ``number`` that occurred."""
        found = np.repeat(self._tables[0][1], len(around), axis=0)
        for width in range(number):
            keys, shares = self._tables[width + 1]
            wanted = _key(around, width)
            row = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
            hit = keys[row] == wanted if len(keys) else np.zeros(len(wanted), bool)
            found[hit] = shares[row[hit]]
        return found

    def losses(self, batch: MicroBatch) -> dict[str, np.ndarray]:
        """Return name -> loss in nats (M,) of each target of a held-out micro-batch. ``constant`` first."""
        target = batch.targets[self._name]["target"].numpy()
        around = self._neighborhoods(batch)
        names = ["constant", "given_letter", *(f"given_{width}_neighbors" for width in range(1, _REACH + 1))]
        known = target < self._size
        result = {}
        for number, name in enumerate(names):
            shares = self._look_up(number, around)
            chance = np.take_along_axis(shares, np.minimum(target, self._size - 1)[:, None], 1)[:, 0]
            result[name] = -np.log(np.where(known, chance, 1e-6))  # a class that no training target has
        return result

    def _neighborhoods(self, batch: MicroBatch) -> np.ndarray:
        """Letters seen around each target, uint8 (M, 2 * REACH + 1), its own in the middle."""
        ids, offsets = batch.packed.input_ids.numpy(), batch.packed.cu_seqlens.numpy().astype(np.int64)
        letters, place, _ = layout(ids, offsets, self._table)
        index = batch.targets[self._name]["index"].numpy()
        at = np.clip(place[index], MARGIN, len(letters) - MARGIN - 1)
        around = letters[at[:, None] + np.arange(-_REACH, _REACH + 1)]
        around[self._table.length[ids[index]] == 0, _REACH] = OTHER  # a special token stands beside the letters
        return around


def _key(around: np.ndarray, width: int) -> np.ndarray:
    """The letter and ``width`` neighbors on each side as one number, int64 (M,)."""
    key = np.zeros(len(around), np.int64)
    for column in range(_REACH - width, _REACH + width + 1):
        key = key * SYMBOLS + around[:, column]
    return key
