"""Markov chains over letters of every order up to 16: the loss of a reader of neighboring letters.

Training sequences are counted twice: as they are, and as the model sees them, where a hidden letter is a symbol of
its own. An order falls back on the one below where it has few counts, so orders may grow until nothing is gained. Low
orders are dense tables, high ones sorted lists of the contexts that occurred.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from pretrain.baselines.letters import HIDDEN, MARGIN, OTHER, SYMBOLS

HIGHEST = MARGIN  # order
LOWEST = 5  # orders that are always looked at
_DENSE = 7  # highest order with a table of all contexts: 6^7 rows
_PRIOR = 2.0  # observations that the next lower order counts for, where nothing is known
_PRIORS = (0.5, 2.0, 8.0, 32.0, 128.0, 512.0)  # what is tried
_LEAST = np.finfo(np.float32).tiny  # a letter that a context never had costs at most 87 nats
_WORK = 200_000_000  # look-ups that reading from both sides may cost; bounds the order where targets are very many
_CHUNK = 1 << 16  # targets looked at together


class MarkovChains:
    """Chains of order 0 to 16 of one set of sequences; the table of an order is made on first use.

    Args:
        true: uint8 symbols of all training sequences, MARGIN symbols OTHER at both ends and between sequences.
        seen: the same as the model sees them. Of this second reading only contexts that differ from the first count.
        priors: for orders 0 to 16, the number of observations that the next lower order counts for.
    """

    def __init__(self, true: np.ndarray, seen: np.ndarray, priors: tuple[float, ...] = (_PRIOR,) * (HIGHEST + 1)):
        self.priors = priors
        at = np.flatnonzero(true < OTHER)
        keys, since = np.zeros((2, len(at)), np.int64), np.zeros((2, len(at)), np.uint8)
        since[1] = HIGHEST + 1
        for back in range(1, HIGHEST + 1):
            for reading, symbols in enumerate((true, seen)):
                keys[reading] = keys[reading] * SYMBOLS + symbols[at - back]
            since[1][(since[1] > HIGHEST) & (true[at - back] != seen[at - back])] = back
        kept = np.concatenate((np.arange(len(at)), len(at) + np.flatnonzero(since[1] <= HIGHEST)))
        keys, since = keys.reshape(-1)[kept], since.reshape(-1)[kept]
        order = np.argsort(keys)  # the nearest letter weighs most: contexts of every order are runs of this one list
        self._keys, self._since = keys[order], since[order]
        self._letter = true[at[(kept % max(len(at), 1))[order]]].astype(np.int64)
        self._tables: list[_Table] = []

    def log_left(self, before: np.ndarray) -> Iterator[np.ndarray]:
        """Yield log P(letter) (M, 4) by orders 0, 1, 2, … from the symbols before it, uint8 (M, K), nearest first."""
        for _, shares in self._by_order(before):
            yield np.log(shares)

    def log_both(self, seen: np.ndarray, at: np.ndarray, order: int) -> np.ndarray:
        """Return log P(letter | what is seen on both sides) by orders 0 to ``order``, (order + 1, M, 4).

        Proportional to the product of the transitions that the letter takes part in; for a chain that is its exact
        conditional. A hidden letter is equally likely to be hidden whatever stands here, so it is no evidence.
        """
        parts = [self._both(seen, at[start : start + _CHUNK], order) for start in range(0, max(len(at), 1), _CHUNK)]
        return np.concatenate(parts, axis=1)

    def _both(self, seen: np.ndarray, at: np.ndarray, order: int) -> np.ndarray:
        score = np.zeros((order + 1, len(at), 4))
        before = seen[at[:, None] - np.arange(1, order + 1)] if order else np.zeros((len(at), 0), np.uint8)
        for number, log in enumerate(self.log_left(before)):
            score[number] += log
        for shift in range(1, order + 1):
            following = seen[at + shift]
            rows = np.flatnonzero(following < OTHER)
            next_letter = following[rows].astype(np.int64)
            context = seen[at[rows, None] + shift - np.arange(1, order + 1)]
            for letter in range(4):
                context[:, shift - 1] = letter
                for number, shares in self._by_order(context):
                    if number >= shift:  # below, the context ends before the letter
                        score[number, rows, letter] += np.log(np.take_along_axis(shares, next_letter[:, None], 1)[:, 0])
        return score - np.logaddexp.reduce(score, axis=2, keepdims=True)

    def _by_order(self, before: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """(order, P(letter) (M, 4)) for orders 0 to K. The array is changed between orders."""
        context, live = np.zeros(len(before), np.int64), np.arange(len(before))
        shares = np.repeat(self._table(0).shares, len(before), axis=0)
        yield 0, shares
        for order in range(1, before.shape[1] + 1):
            context = context * SYMBOLS + before[live, order - 1]
            row = self._table(order).rows(context)
            context, live, row = context[row >= 0], live[row >= 0], row[row >= 0]  # never seen: nor is anything longer
            shares[live] = self._table(order).shares[row]
            yield order, shares

    def _table(self, order: int) -> _Table:
        while len(self._tables) <= order:
            number = len(self._tables)
            counted = self._since <= number
            context = self._keys[counted] // SYMBOLS ** (HIGHEST - number)
            below = self._tables[-1] if number else None
            table = _Table.count(number, context, self._letter[counted])
            self._tables.append(table.smooth(below, self.priors[number]))
        return self._tables[order]

    def learn_priors(self, seen: np.ndarray, at: np.ndarray, true: np.ndarray) -> None:
        """Choose the weight of each order, from the lowest up, on sequences that were not counted.

        A letter seen twice after eleven others is chance in one corpus and a relative in another.

        Args:
            seen: their symbols.
            at: int64 (M,), letters that are predicted.
            true: their values (M,).
        """
        self._tables, self.priors = [], self.priors[:1]
        rows, letter = np.arange(len(at)), true.astype(np.int64)
        shares, context = np.repeat(self._table(0).shares, len(at), axis=0), np.zeros(len(at), np.int64)
        for order in range(1, HIGHEST + 1):
            counted = self._since <= order
            table = _Table.count(order, self._keys[counted] // SYMBOLS ** (HIGHEST - order), self._letter[counted])
            context = context * SYMBOLS + seen[at - order]
            row = table.rows(context)
            counts = (
                np.where((row >= 0)[:, None], table.shares[row], 0.0) if len(table.shares) else np.zeros((len(at), 4))
            )
            total = counts.sum(axis=1, keepdims=True)
            tried = {prior: (counts + prior * shares) / (total + prior) for prior in _PRIORS}
            best = min(_PRIORS, key=lambda prior: -np.log(tried[prior][rows, letter]).sum())
            shares = tried[best]
            self._tables.append(table.smooth(self._tables[-1], best))
            self.priors = (*self.priors, best)


class _Table:
    """P(letter), or counts, by context: of all contexts (``keys`` None), or of those that were seen more than once."""

    def __init__(self, keys: np.ndarray | None, parents: np.ndarray, shares: np.ndarray):
        self.keys, self._parents, self.shares = keys, parents, shares

    @classmethod
    def count(cls, order: int, context: np.ndarray, letter: np.ndarray) -> _Table:
        """Counts behind the contexts of letters (n,), ascending. Context c of an order extends c // 6 of the last."""
        keys = None
        if order <= _DENSE:
            counts = np.bincount(context * 4 + letter, minlength=SYMBOLS**order * 4).reshape(-1, 4)
            parents = np.arange(SYMBOLS**order) // SYMBOLS
        else:
            starts = np.flatnonzero(np.concatenate(([True], context[1:] != context[:-1]))) if len(context) else context
            sizes = np.diff(np.concatenate((starts, [len(context)])))
            again = np.repeat(sizes > 1, sizes)
            keys = context[starts[sizes > 1]]
            row = np.repeat(np.arange(len(keys)), sizes[sizes > 1])
            counts = np.bincount(row * 4 + letter[again], minlength=len(keys) * 4).reshape(-1, 4)
            parents = keys // SYMBOLS
        return cls(keys, parents, counts.astype(np.float32))

    def smooth(self, below: _Table | None, prior: float) -> _Table:
        """Counts as shares, with those of the next lower order as so many observations."""
        lower = np.float32(0.25) if below is None else below.shares[below.rows(self._parents)]
        total = self.shares.sum(axis=1, keepdims=True)
        shares = ((self.shares + prior * lower) / (total + prior)).astype(np.float32)
        return _Table(self.keys, self._parents, np.maximum(shares, _LEAST))

    def rows(self, context: np.ndarray) -> np.ndarray:
        """Row int64 (M,) of each context (M,); -1 for those that were not seen."""
        if self.keys is None:
            return context
        if not len(self.keys):
            return np.full(len(context), -1)
        row = np.minimum(np.searchsorted(self.keys, context), len(self.keys) - 1)
        return np.where(self.keys[row] == context, row, -1)


class OrderSearch:
    """The orders with the lowest loss on letters that were not counted.

    Args:
        chains: of all but a slice of the training sequences.
        seen: symbols of the slice.
        at: int64 (M,), letters of it that are hidden.
        true: their values (M,).
        both: whether both sides are read.
    """

    def __init__(self, chains: MarkovChains, seen: np.ndarray, at: np.ndarray, true: np.ndarray, both: bool):
        self._chains, self._seen, self._at, self._true, self._both = chains, seen, at, true, both

    @cached_property
    def left(self) -> int:
        """Best order from the left."""
        before = self._seen[self._at[:, None] - np.arange(1, HIGHEST + 1)]
        return int(np.argmin([self._loss(log) for log in self._chains.log_left(before)]))

    @cached_property
    def both(self) -> int:
        """Best order from both sides; 0 if they are not read."""
        if not self._both:
            return 0
        return int(np.argmin([self._loss(log) for log in self._chains.log_both(self._seen, self._at, HIGHEST)]))

    def _loss(self, log: np.ndarray) -> float:
        return float(-np.take_along_axis(log, self._true[:, None].astype(np.int64), 1).mean()) if len(self._at) else 0.0


def affordable_order(order: int, targets: int) -> int:
    """Return the highest order up to this one at which reading both sides costs a bounded number of look-ups."""
    while order > LOWEST and targets * 4 * order * (order + 1) > _WORK:
        order -= 1
    return order


__all__ = ["HIDDEN", "HIGHEST", "LOWEST", "MarkovChains", "OrderSearch", "affordable_order"]
