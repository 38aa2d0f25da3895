"""The nearest training relative: copy the letter at the same place in the most similar training sequence.

The baseline for memorized homology. Words of 11 letters that a sequence shares with training sequences give diagonals
of possible alignments; each target takes that of the most frequent ones whose letters around agree best. The trust in
a copied letter follows from that agreement, as counted on a slice of the training sequences.
"""

from __future__ import annotations

import numpy as np

from pretrain.baselines.letters import MARGIN, OTHER

WORD = 11
_REACH = MARGIN  # letters compared on each side of a target
_PLACES = 2  # training places looked at per word
_DIAGONALS = 6  # per sequence
_CHUNK = 1 << 16  # targets looked at together


class NearestRelative:
    """An index of words of training sequences.

    Args:
        symbols: uint8, sequences with MARGIN symbols OTHER between them and at both ends.
    """

    def __init__(self, symbols: np.ndarray):
        self._symbols = symbols
        words, where = _words(symbols)
        order = np.argsort(words, kind="stable")
        self._words, self._where = words[order], where[order]
        self._trust = np.full(_REACH * 2 + 1, 0.25)

    def learn_trust(self, seen: np.ndarray, at: np.ndarray, true: np.ndarray) -> None:
        """Count how often copied letters are right, by agreement, on sequences that are not in the index.

        Args:
            seen: their symbols as the model sees them.
            at: int64 (M,), letters that are predicted.
            true: their values (M,).
        """
        letter, agreement = self.copy(seen, at)
        found = letter < OTHER
        asked = np.bincount(agreement[found], minlength=len(self._trust))
        right = np.bincount(agreement[found], letter[found] == true[found], minlength=len(self._trust))
        self._trust = (right + 0.5) / (asked + 2.0)  # two observations of chance

    def trust_as(self, other: NearestRelative) -> None:
        """Take over the trust that another index has learned."""
        self._trust = other._trust

    def log_shares(self, seen: np.ndarray, at: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
        """Return log P(letter) (M, 4): the copied letter by its trust, the others as in ``otherwise`` (log, (M, 4))."""
        letter, agreement = self.copy(seen, at)
        rows = np.flatnonzero(letter < OTHER)
        copied, trust = letter[rows].astype(np.int64), self._trust[agreement[rows]]
        result = otherwise.copy()
        own = np.exp(otherwise[rows, copied])
        trust = np.maximum(trust, own)  # a relative is one more reason for a letter, not one against it
        rest = np.log1p(-np.minimum(trust, 1 - 1e-9)) - np.log1p(-np.minimum(own, 1 - 1e-9))
        result[rows] += rest[:, None]
        result[rows, copied] = np.log(trust)
        return result

    def copy(self, seen: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the letter of the best relative uint8 (M,), OTHER if there is none, and its agreement int64 (M,).

        The agreement is the number of letters around it that agree minus those that differ.
        """
        candidates = self._diagonals(seen)[_sequence_of(seen)[at]]  # (M, D)
        letter, agreement = np.full(len(at), OTHER, np.uint8), np.zeros(len(at), np.int64)
        rows = np.flatnonzero((candidates != _NONE).any(axis=1))
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            best = np.full(len(part), -1)
            for diagonal in candidates[part].T:
                place = at[part] + diagonal
                inside = (diagonal != _NONE) & (place >= _REACH) & (place < len(self._symbols) - _REACH)
                place = np.where(inside, place, _REACH)
                score = np.zeros(len(part), np.int64)
                for step in (*range(-_REACH, 0), *range(1, _REACH + 1)):
                    mine, theirs = seen[at[part] + step], self._symbols[place + step]
                    known = (mine < OTHER) & (theirs < OTHER)
                    score += np.where(known, np.where(mine == theirs, 1, -1), 0)
                score = np.where(inside & (self._symbols[place] < OTHER), score, -1)
                better = score > best
                letter[part[better]], best = self._symbols[place[better]], np.maximum(best, score)
            agreement[part] = np.maximum(best, 0)
        return letter, agreement

    def _diagonals(self, seen: np.ndarray) -> np.ndarray:
        """Training place minus own place of the most frequent alignments, int64 (S, D); _NONE where there are fewer."""
        words, where = _words(seen)
        sequence = _sequence_of(seen)
        first = np.searchsorted(self._words, words)
        sequences, shifts = [], []
        for step in range(_PLACES):
            row = np.minimum(first + step, max(len(self._words) - 1, 0))
            hit = (self._words[row] == words) & (first + step < len(self._words)) if len(self._words) else row < 0
            sequences.append(sequence[where[hit]])
            shifts.append(self._where[row[hit]] - where[hit])
        rows, shift = np.concatenate(sequences), np.concatenate(shifts)
        result = np.full((int(sequence[-1]) + 1, _DIAGONALS), _NONE)
        if not len(rows):
            return result
        base = len(seen) + len(self._symbols) + 1
        pair, counts = np.unique(rows * (2 * base) + shift + base, return_counts=True)
        rows, shift = pair // (2 * base), pair % (2 * base) - base
        order = np.lexsort((-counts, rows))
        rows, shift = rows[order], shift[order]
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
        top = rank < _DIAGONALS
        result[rows[top], rank[top]] = shift[top]
        return result


_NONE = np.iinfo(np.int64).min // 4  # no alignment


def _words(symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Words of WORD known letters as numbers int64 (n,), and where they begin int64 (n,)."""
    count = max(len(symbols) - WORD + 1, 0)
    word, known = np.zeros(count, np.int64), np.ones(count, bool)
    for j in range(WORD):
        part = symbols[j : j + count]
        word = word * 4 + np.minimum(part, 3)
        known &= part < OTHER
    where = np.flatnonzero(known)
    return word[where], where


def _sequence_of(symbols: np.ndarray) -> np.ndarray:
    """Number of the sequence that each symbol belongs to, int64; runs of OTHER as long as MARGIN divide them."""
    other = symbols == OTHER
    run = np.concatenate(([0], np.cumsum(other)))
    ends = np.zeros(len(symbols), np.int64)
    full = run[MARGIN:] - run[:-MARGIN] == MARGIN  # symbols [i, i + MARGIN) are all OTHER
    starts = np.flatnonzero(full & ~np.concatenate(([False], full[:-1])))
    ends[starts] = 1
    return np.cumsum(ends)


__all__ = ["NearestRelative"]
