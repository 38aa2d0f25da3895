"""Pseudo-perplexity of sequences: every nucleotide hidden once, predicted from all others (Salazar et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import tee
from typing import Any

import numpy as np

from data_prep.corpus import Ragged
from pretrain.evaluation.likelihood_summary import summarize
from pretrain.evaluation.masked_queries import encode_rows, letters_each, nucleotide_query
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.passes import Query, log_probabilities
from pretrain.evaluation.sliding import Windows, letters_and_windows


@dataclass(frozen=True)
class PseudoLikelihood:
    """Of one sequence. nucleotides: how many were asked for (A, C, G, U/T; in k-mers without other letters)."""

    nucleotides: int
    log_likelihood: float  # nats, summed

    @property
    def perplexity(self) -> float:
        """Exponential of the mean loss; guessing among four letters gives 4. NaN if no nucleotide was predicted."""
        return math.exp(-self.log_likelihood / self.nucleotides) if self.nucleotides else math.nan


def pseudo_likelihoods(model: TrainedModel, sequences: Ragged | Windows) -> list[PseudoLikelihood]:
    """Predict every nucleotide from all others, one forward pass each: about length x length tokens per sequence.

    Args:
        model: a masked model.
        sequences: ASCII, S rows that fit the model, or windows over S sequences of any length: each nucleotide is then
            hidden in the window that answers for it.
    """
    from tqdm import tqdm

    letters, windows = letters_and_windows(sequences)
    size = int(windows.row[-1]) + 1 if windows else len(letters)
    total = int((windows.stop - windows.first).sum()) if windows else len(letters.values)
    counts, found = np.zeros(size, np.int64), np.zeros(size)
    first, second = tee(_questions(model, sequences))  # the second follows the first by one batch
    answers = log_probabilities(model, (query for _, query in first))
    bar = tqdm(answers, total=total, desc="nucleotides", disable=None)
    for (row, query), log_probability in zip(second, bar, strict=True):
        counts[row] += letters_each(model.tokenizer, query.ids[query.read])
        found[row] += log_probability[query.ids[query.read]]
    return [PseudoLikelihood(n, total) for n, total in zip(counts.tolist(), found.tolist(), strict=True)]


def _questions(model: TrainedModel, sequences: Ragged | Windows) -> Iterator[tuple[int, Query]]:
    """(row, query) for every nucleotide (or k-mer around it) of A, C, G, U/T."""
    letters, windows = letters_and_windows(sequences)
    numbers = windows.row if windows else np.arange(len(letters))
    bounds = (windows.first, windows.stop) if windows else (np.zeros_like(numbers), letters.lengths)
    rows = encode_rows(model.tokenizer, letters)
    each = (array.tolist() for array in (numbers, letters.lengths, *bounds))
    for ids, row, length, first, stop in zip(rows, *each, strict=True):
        known, asked = np.isin(ids, model.tokenizer.nucleotide_ids), np.empty(0, np.int64)
        for nucleotide in range(first, stop if length >= model.tokenizer.min_nucleotides else first):
            query = nucleotide_query(model.tokenizer, ids, nucleotide)
            once = letters_each(model.tokenizer, ids[query.read]) > 1 and np.array_equal(query.hidden, asked)
            if known[query.read] and not once:  # a codon is asked for once, not for each of its letters
                yield row, query
            asked = query.hidden


def summary(ids: list[str], found: list[PseudoLikelihood]) -> dict[str, Any]:
    """Return the pseudo-perplexity per record and over all nucleotides."""
    whole = PseudoLikelihood(sum(one.nucleotides for one in found), sum(one.log_likelihood for one in found))
    return summarize(ids, found, whole, "pseudo_perplexity", lambda one: one.perplexity)
