"""Zero-shot scores of single-base variants: how much likelier the alternative letter is under the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from data_prep.corpus import Ragged
from data_prep.formats.genome import COMPLEMENT
from pretrain.errors import PolymeraseError
from pretrain.evaluation.masked_queries import encode_rows, nucleotide_query
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.passes import Query, log_probabilities

Strand = Literal["plus", "minus", "both"]
_LONGEST_WINDOW = 512  # unless asked otherwise: more context costs more than it tells
_TOGETHER = 1024  # variants whose windows are in memory at a time


class Substitution(NamedTuple):
    """A base of a contig and its replacement, as letters."""

    pos0: int
    ref: str
    alt: str


def variant_scores(
    model: TrainedModel, contig: bytes, variants: Sequence[Substitution], width: int, strand: Strand = "plus"
) -> Iterator[float | None]:
    """Yield log P(alt) - log P(ref) of each variant, in nats; above 0 the model prefers the alternative.

    The variant's base is hidden in a window of ``width`` bases around it (shifted at the ends of the contig); one
    forward pass per variant. None if the window has another letter in the tokens that are compared.

    Args:
        model: a masked model.
        contig: upper-case letters of the whole contig.
        variants: on this contig.
        width: bases of the window.
        strand: the one the model reads; ``minus``: windows and alleles as they stand in a transcript of a gene there;
            ``both``: the mean of the two scores.
    """
    if strand == "both":
        sides = [variant_scores(model, contig, variants, width, side) for side in ("plus", "minus")]
        for plus, minus in zip(*sides, strict=True):
            yield None if plus is None or minus is None else (plus + minus) / 2
        return
    for start in range(0, len(variants), _TOGETHER):
        questions = [
            _question(model, contig, variant, width, strand) for variant in variants[start : start + _TOGETHER]
        ]
        answers = log_probabilities(model, [question.query for question in questions if question.known])
        for question in questions:
            if question.known:
                log_probability = next(answers)
                yield float(log_probability[question.alt] - log_probability[question.ref])
            else:
                yield None


def substitution_scores(model: TrainedModel, contig: bytes, width: int) -> Iterator[np.ndarray]:
    """The same of A, C, G and T at every position, float32 (4,), NaN where there is none; one pass per position.

    A score depends on nothing but the letters around the position, so the letter that is there gets 0.

    Args:
        model: that hides tokens.
        contig: upper-case letters, T for U.
        width: as of :func:`variant_scores`.
    """
    for start in range(0, len(contig), _TOGETHER):
        questions = [
            [_question(model, contig, Substitution(pos0, chr(contig[pos0]), alt), width, "plus") for alt in "ACGT"]
            for pos0 in range(start, min(start + _TOGETHER, len(contig)))
        ]
        answers = log_probabilities(model, [four[0].query for four in questions])  # nothing in it is of the alleles
        for four, answer in zip(questions, answers, strict=True):
            yield np.array([answer[one.alt] - answer[one.ref] if one.known else np.nan for one in four], np.float32)


def window_width(model: TrainedModel, asked: int | None) -> int:
    """Bases around a variant that the model reads: as asked, or at most 512. PolymeraseError where it cannot."""
    holds = model.tokenizer.max_nucleotides(model.max_tokens)
    width = asked or min(holds, _LONGEST_WINDOW)
    if not model.tokenizer.min_nucleotides <= width <= holds:
        raise PolymeraseError(f"--window {width}: the model reads {model.tokenizer.min_nucleotides} to {holds} nt")
    return width


class _Question(NamedTuple):
    """A query, the ids of both alleles at the token that is read, and whether both are plain letters or k-mers."""

    query: Query
    ref: int
    alt: int
    known: bool


def _question(model: TrainedModel, contig: bytes, variant: Substitution, width: int, strand: Strand) -> _Question:
    start = min(max(0, variant.pos0 - width // 2), max(0, len(contig) - width))
    window, place = contig[start : start + width], variant.pos0 - start
    alt = variant.alt.encode()
    if strand == "minus":
        window, place, alt = window[::-1].translate(COMPLEMENT), len(window) - 1 - place, alt.translate(COMPLEMENT)
    changed = window[:place] + alt + window[place + 1 :]
    reference, alternative = encode_rows(model.tokenizer, Ragged.from_rows([window, changed]))
    query = nucleotide_query(model.tokenizer, reference, place)
    if len(reference) != len(alternative) or (reference != alternative).sum() > len(query.hidden):
        return _Question(query, 0, 0, False)  # byte pairs that fall differently cannot be compared token by token
    ids = int(reference[query.read]), int(alternative[query.read])
    return _Question(query, *ids, bool(np.isin(ids, model.tokenizer.nucleotide_ids).all()))
