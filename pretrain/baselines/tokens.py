"""Baselines of tokens: letters, letters given what is shown, Markov chains of every order, the nearest relative.

Each is told what the model is told. At a hidden target that is its surroundings; at a shown one also the token
shown there, which is the right one as often as among training targets. So no reader of that token alone, without
any context, is better than the baselines.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pretrain.baselines.letters import HIDDEN, OTHER, LetterTable, TokenTargets, token_targets
from pretrain.baselines.markov import LOWEST, MarkovChains, OrderSearch, affordable_order
from pretrain.baselines.relatives import NearestRelative
from pretrain.batches.collate import MicroBatch
from pretrain.objectives import Objective, ObjectiveContext
from pretrain.tokenizers import Tokenizer

LETTERS = 4_000_000  # of training sequences that are counted
_SLICE = 10  # one sequence batch in so many is kept from the counts to choose orders
_SLICE_TARGETS = 20_000  # letters of the slice that are asked for


class TokenBaselines:
    """Baselines fitted on training micro-batches and applied to held-out ones.

    Args:
        name: the objective.
        objectives: all of the run.
        tokenizer: of the run.
        context: of the run.
        train: micro-batches of training samples; reading stops after LETTERS letters.
        sequences: number of held-out sequences; bounds how far both sides are read.
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
        self._name, self._objectives = name, objectives
        self._table = LetterTable(tokenizer)
        self._base_ids = (
            np.array([tokenizer.vocab.index(letter) for letter in _bases(tokenizer)]) if self._single else None
        )
        size = len(tokenizer.vocab)
        counts, different = np.zeros(size), np.zeros(size)
        self._shown, self._same = 0, 0
        true, seen, letters, read = [], [], 0, 0
        for batch in train:
            if batch.counts[name]:
                found = token_targets(batch, name, objectives, self._table)
                counts += self._token_counts(found, size)
                wrong = ~found.is_hidden & (found.shown != found.token)
                different += np.bincount(found.shown[wrong], minlength=size)
                self._shown += int((~found.is_hidden).sum())
                self._same += int((found.shown == found.token).sum())
                true.append(found.true)
                seen.append(found.seen)
                letters += int((found.true != OTHER).sum())
                read += batch.sequences
                if letters >= LETTERS:
                    break
        total = counts.sum()
        self._targets = int(sequences * total / max(read, 1))
        self.token_share = (counts + 0.5) / (total + 0.5 * np.count_nonzero(counts))  # unseen tokens: a finite cost
        # a random token that is the right one by chance was not seen to be random
        guess = (different + 0.5 * (different + counts > 0)) / np.maximum(1.0 - counts / max(total, 1.0), 0.5)
        # what random tokens are; one that was never counted: half a count, a finite cost
        self._drawn = np.maximum(guess, 0.5) / max(guess.sum(), 1.0)
        self._kept = (self._same + 0.5) / (self._shown + 1.0)  # share of shown targets that are the right token
        if self._table.fixed and true:
            self._fit_chains(true, seen)

    @property
    def _single(self) -> bool:
        return self._table.k == 1

    def _token_counts(self, found: TokenTargets, size: int) -> np.ndarray:
        counts = np.bincount(found.token, minlength=size).astype(np.float64)
        if found.share is not None:
            known = found.share.sum(axis=1) > 0
            counts -= np.bincount(found.token[known], minlength=size)
            counts[self._base_ids] += found.share.sum(axis=0)
        return counts

    def _fit_chains(self, true: list[np.ndarray], seen: list[np.ndarray]) -> None:
        both = self._single and self._objectives[self._name].scope == "hidden_tokens"
        counted = [n for n in range(len(true)) if n % _SLICE or len(true) == 1]
        held = [n for n in range(len(true)) if n not in set(counted)] or counted
        slice_true, slice_seen = np.concatenate([true[n] for n in held]), np.concatenate([seen[n] for n in held])
        at = np.flatnonzero((slice_true < OTHER) & ((slice_seen == HIDDEN) | (not both)))
        at = at[:: max(1, len(at) // _SLICE_TARGETS)]
        some_true, some_seen = np.concatenate([true[n] for n in counted]), np.concatenate([seen[n] for n in counted])
        chains = MarkovChains(some_true, some_seen)
        chains.learn_priors(slice_seen, at, slice_true[at])
        search = OrderSearch(chains, slice_seen, at, slice_true[at], both)
        self._left = max(search.left, LOWEST)
        self._both = affordable_order(max(search.both, LOWEST), self._targets) if both else 0
        all_true = np.concatenate(true)
        self._chains = MarkovChains(all_true, np.concatenate(seen), chains.priors)
        self._relatives = None
        if both:
            self._relatives = NearestRelative(some_true)
            self._relatives.learn_trust(slice_seen, at, slice_true[at])
            trust = self._relatives
            self._relatives = NearestRelative(all_true)
            self._relatives.trust_as(trust)

    def losses(self, batch: MicroBatch) -> dict[str, np.ndarray]:
        """Return name -> loss in nats (M,) of each target of a held-out micro-batch. ``letters`` first."""
        found = token_targets(batch, self._name, self._objectives, self._table)
        result = {"letters": self._by_tokens(found, told=False)}
        if self._shown:
            result["letters_given_shown"] = self._by_tokens(found, told=True)
        if not self._table.fixed:
            return result
        reader = self._by_letters if self._single else self._by_kmers
        return result | reader(found)

    # -- tokens alone

    def _by_tokens(self, found: TokenTargets, told: bool) -> np.ndarray:
        if self._single:
            shares = np.broadcast_to(self.token_share[self._base_ids], (len(found.token), 4))
            return self._loss(found, shares, told)
        shares = self.token_share[found.token]
        return self._told(found, shares, self.token_share[found.shown]) if told else -np.log(shares)

    def _told(self, found: TokenTargets, right: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """Loss (M,) of a reader that gives the right token this probability and the shown one that (M,)."""
        same = found.shown == found.token
        drawn = self._drawn[found.shown]
        seen = np.where(same, self._kept, (1 - self._kept) * drawn)
        total = self._kept * shown + (1 - self._kept) * drawn * (1 - shown)
        return -np.log(np.where(found.is_hidden, right, right * seen / np.maximum(total, 1e-30)))

    # -- one letter per token

    def _by_letters(self, found: TokenTargets) -> dict[str, np.ndarray]:
        known = min(self.token_share[self._base_ids].sum(), 1.0)  # of all tokens
        result = {}
        before = found.seen[found.first[:, None] - np.arange(1, self._left + 1)]
        for order, log in enumerate(self._chains.log_left(before)):
            if order:
                result[f"markov_left_{order}"] = self._loss(found, known * np.exp(log))
        if self._both:
            logs = self._chains.log_both(found.seen, found.first, self._both)
            for order in range(1, self._both + 1):
                result[f"markov_both_{order}"] = self._loss(found, known * np.exp(logs[order]))
            assert self._relatives is not None
            copied = self._relatives.log_shares(found.seen, found.first, logs[self._both])
            result["nearest_relative"] = self._loss(found, known * np.exp(copied))
        return result

    def _loss(self, found: TokenTargets, shares: np.ndarray, told: bool = True) -> np.ndarray:
        """Loss (M,) of a reader that gives the four letters these probabilities (M, 4), and other tokens theirs."""
        right = (
            np.eye(5)[np.where(found.usable, self._letter(found.token), 4)][:, :4]
            if found.share is None
            else found.share
        )
        other = self.token_share[found.token]  # of targets that are no letter
        evidence, others_evidence = np.ones_like(shares), np.ones(len(shares))
        total = np.ones(len(shares))
        if told and self._shown:
            rows = ~found.is_hidden
            drawn = self._drawn[self._base_ids]
            as_kept, shown = found.shown_share, np.maximum(found.shown, 0)
            as_random = np.where(as_kept.any(axis=1), as_kept @ drawn, self._drawn[shown])[:, None] / (1 - drawn)
            evidence = as_kept * self._kept + (1 - as_kept) * (1 - self._kept) * as_random
            is_letter = as_kept.any(axis=1)
            same = found.shown == found.token
            others_evidence = np.where(same, self._kept, (1 - self._kept) * self._drawn[shown])
            mass = 1 - shares.sum(axis=1)
            rest = np.where(
                is_letter,
                mass * (1 - self._kept) * self._drawn[shown],
                self.token_share[shown] * self._kept
                + np.maximum(mass - self.token_share[shown], 0) * (1 - self._kept) * self._drawn[shown],
            )
            total = np.where(rows, (shares * evidence).sum(axis=1) + rest, 1.0)
            evidence = np.where(rows[:, None], evidence, 1.0)
            others_evidence = np.where(rows, others_evidence, 1.0)
        scale = np.maximum(total, 1e-30)
        log = np.log(np.maximum(shares * evidence / scale[:, None], 1e-30))
        letters = -(right * log).sum(axis=1)
        return np.where(right.any(axis=1), letters, -np.log(np.maximum(other * others_evidence / scale, 1e-30)))

    def _letter(self, token: np.ndarray) -> np.ndarray:
        return self._table.codes[token, 0]

    # -- several letters per token

    def _by_kmers(self, found: TokenTargets) -> dict[str, np.ndarray]:
        known = min(self.token_share[self._table.nucleotide].sum(), 1.0)
        shown = np.maximum(found.shown, 0)
        right, wrong = (self._kmer_shares(found, self._table.codes[token]) for token in (found.token, shown))
        result = {}
        for order in range(1, self._left + 1):
            chance = np.where(found.usable, known * right[order], self.token_share[found.token])
            alternative = np.where(self._table.nucleotide[shown], known * wrong[order], self.token_share[shown])
            result[f"markov_left_{order}"] = self._told(found, chance, alternative)
        return result

    def _kmer_shares(self, found: TokenTargets, letters: np.ndarray) -> np.ndarray:
        """P(token of these letters (M, k)) by order (K + 1, M), from the letters no visible token shows.

        It is 0 where a visible token contradicts.
        """
        order, k = self._left, self._table.k
        before = found.seen[found.first[:, None] - np.arange(order, 0, -1)]
        shares = np.ones((order + 1, len(letters)))
        for j in range(k):
            letter = np.minimum(letters[:, j], 3).astype(np.int64)
            symbols = np.concatenate([before, letters[:, :j]], axis=1)[:, ::-1][:, :order]
            agrees = found.seen[np.minimum(found.first + j, len(found.seen) - 1)] == letters[:, j]
            for number, log in enumerate(self._chains.log_left(symbols)):
                step = np.exp(np.take_along_axis(log, letter[:, None], 1)[:, 0])
                shares[number] *= np.where(found.unknown[:, j], step, agrees)
        return shares


def _bases(tokenizer: Tokenizer) -> list[str]:
    return [tokenizer.vocab[number] for number in tokenizer.nucleotide_ids]
