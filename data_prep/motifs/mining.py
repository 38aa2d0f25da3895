"""Over-represented k-mers of a corpus, as RNAErnie's "Statistics" list has them (its own method is not published).

Test, for each k-mer of each length, one-sided, against more occurrences than by chance:
- with a background corpus: the exact conditional test of two Poisson rates (Przyborowski and Wilenski 1940). Of the
  a + b occurrences in corpus and background, a are Binomial(a + b, n / (n + m)) if the rates are equal, where n and m
  are the numbers of windows.
- with a Markov background of order r: occurrences are Poisson with mean n * p, where p is the probability of the k-mer
  in a Markov chain of order r that is fitted to the corpus itself.
The false discovery rate is held by Benjamini and Hochberg (1995) over all 4^k k-mers of all lengths. Occurrences of a
k-mer that overlaps itself (AAAAAA) are not independent: for those the p-value is too small.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.corpus import Corpus
from data_prep.motifs.coverage import training_rows
from data_prep.motifs.matcher import DIGITS, extended, unbroken

LONGEST = 13  # counts of all 13-mers take 0.5 GB


@dataclass(frozen=True)
class MinedMotif:
    """`expected` occurrences by chance; `q` is the p-value adjusted for the false discovery rate."""

    motif: str
    count: int
    expected: float
    p: float
    q: float


def mine(
    corpus: Corpus, background: Corpus | int, lengths: Sequence[int], max_fdr: float, top: int
) -> list[MinedMotif]:
    """The `top` most significant k-mers with q <= max_fdr, best first; `background` is a corpus or a Markov order."""
    kmers, counts, expected, p_values = [], [], [], []
    for k in lengths:
        observed = count_kmers(corpus, k)
        p, mean = (
            _against_corpus(observed, background, k)
            if isinstance(background, Corpus)
            else _against_markov(observed, corpus, background, k)
        )
        seen = np.flatnonzero(observed)
        kmers += [(k, number) for number in seen.tolist()]
        counts.append(observed[seen])
        expected.append(mean[seen])
        p_values.append(p[seen])
    count, mean, p = np.concatenate(counts), np.concatenate(expected), np.concatenate(p_values)
    q = adjusted(p, tests=sum(4**k for k in lengths))
    fold = np.divide(count, mean, out=np.full(len(count), np.inf), where=mean > 0)
    # Among p-values that vanish in double precision the stronger enrichment goes first.
    order = np.lexsort((np.arange(len(p)), -fold, p))
    best = [i for i in order.tolist() if q[i] <= max_fdr][:top]
    return [MinedMotif(_text(*kmers[i]), int(count[i]), float(mean[i]), float(p[i]), float(q[i])) for i in best]


def count_kmers(corpus: Corpus, k: int) -> np.ndarray:
    """int64 (4^k,): occurrences in the training split; windows with other letters do not count."""
    counts = np.zeros(4**k, np.int64)
    for rows in training_rows(corpus):
        digits = DIGITS[rows.values]
        numbers = np.zeros(len(digits), np.int64)
        for length in range(1, k + 1):
            numbers = extended(numbers, digits, length)
        whole = numbers[unbroken(digits, rows.offsets)[: len(numbers)] >= k]
        found, times = np.unique(whole, return_counts=True)
        counts[found] += times
    return counts


def adjusted(p: np.ndarray, tests: int) -> np.ndarray:
    """Benjamini and Hochberg's q-values (S,) of p-values (S,); the other `tests` have p = 1."""
    order = np.argsort(p, kind="stable")
    q = np.empty(len(p))
    scaled = p[order] * tests / np.arange(1, len(p) + 1)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q


def _against_corpus(observed: np.ndarray, background: Corpus, k: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import betainc

    other = count_kmers(background, k)
    n, m = int(observed.sum()), int(other.sum())
    share = n / max(n + m, 1)
    # P(Binomial(a + b, share) >= a) as a regularised incomplete beta function
    p = np.where(observed > 0, betainc(np.maximum(observed, 1), other + 1, share), 1.0)
    return p, (observed + other) * share


def _against_markov(observed: np.ndarray, corpus: Corpus, order: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import gammainc

    mean = observed.sum() * _markov_probabilities(corpus, min(order, k - 1), k)
    # P(Poisson(mean) >= a) as a regularised incomplete gamma function
    return np.where(observed > 0, gammainc(np.maximum(observed, 1), mean), 1.0), mean


def _markov_probabilities(corpus: Corpus, order: int, k: int) -> np.ndarray:
    """float64 (4^k,): probability of each k-mer in a chain of this order with the corpus's own frequencies."""
    transitions = count_kmers(corpus, order + 1).reshape(-1, 4).astype(float)  # (context, next letter)
    contexts = transitions.sum(axis=1)
    probabilities = contexts / max(contexts.sum(), 1) if order else np.ones(1)
    following = transitions / np.maximum(contexts, 1)[:, None]
    for length in range(order, k):
        # (prefixes, contexts, 1) * (contexts, 4): the context is the last `order` letters
        probabilities = (probabilities.reshape(-1, 4**order, 1) * following).reshape(-1)
        assert len(probabilities) == 4 ** (length + 1)
    return probabilities


def _text(k: int, number: int) -> str:
    return "".join("ACGU"[number >> 2 * (k - 1 - i) & 3] for i in range(k))
