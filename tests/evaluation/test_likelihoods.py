"""Likelihoods of letters: nothing of a hidden letter leaks, and batches give what single sequences give."""

import numpy as np
import pytest
import torch

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.evaluation.masked_queries import encode_rows, nucleotide_query
from pretrain.evaluation.passes import log_probabilities, pack
from pretrain.evaluation.pseudo_perplexity import pseudo_likelihoods
from pretrain.evaluation.variant_effects import Substitution, variant_scores
from pretrain.evaluation.variant_table import VariantTable
from tests.evaluation.support import tiny

FAMILIES = ["ernie_rna", "rnaernie2", "utr_lm", "mutbert", "utrbert_3mer", "dnabert_6mer"]


def ragged(*rows: str) -> Ragged:
    return Ragged.from_rows([row.encode() for row in rows])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_answer_does_not_depend_on_the_letter_that_is_asked_for(name):
    model = tiny(name)
    for place in (0, 3, 7, 13):
        answers = []
        for letter in "ACGT":
            text = "GATTACAGGCTTAC"
            (ids,) = encode_rows(model.tokenizer, ragged(text[:place] + letter + text[place + 1 :]))
            answers.append(next(log_probabilities(model, [nucleotide_query(model.tokenizer, ids, place)])))
        for answer in answers[1:]:
            np.testing.assert_allclose(answer, answers[0], atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_pseudo_likelihood_is_the_sum_over_letters_hidden_one_by_one(name):
    model = tiny(name)
    rows = ["GATTACAGGCTTAC", "ACGTACGTACGTACGTACGTAA", "CCGGTTAA"]
    found = pseudo_likelihoods(model, ragged(*rows))
    for row, one in zip(rows, found, strict=True):
        (ids,) = encode_rows(model.tokenizer, ragged(row))
        expected = 0.0
        for place in range(len(row)):
            query = nucleotide_query(model.tokenizer, ids, place)
            with torch.no_grad():
                logits = model.network(pack(model, ids, [len(ids)], query.hidden))[query.read]
            expected += float(logits.log_softmax(-1)[int(ids[query.read])])
        assert one.nucleotides == len(row)
        assert one.log_likelihood == pytest.approx(expected, abs=1e-3)
        assert one.perplexity == pytest.approx(np.exp(-expected / len(row)), rel=1e-4)


def test_letters_outside_the_alphabet_are_not_asked_for():
    found = pseudo_likelihoods(tiny("ernie_rna"), ragged("ACNNGU", "NNN"))
    assert [one.nucleotides for one in found] == [4, 0]
    assert np.isnan(found[1].perplexity)


@pytest.mark.parametrize("name", ["mutbert", "dnabert_3mer"])
def test_a_variant_and_its_reverse_have_opposite_scores(name):
    model = tiny(name)
    draw = np.random.default_rng(2)
    contig = "".join(draw.choice(list("ACGT"), 80))
    for place in (0, 5, 40, 79):
        ref = contig[place]
        alt = "ACGT"[("ACGT".index(ref) + 1) % 4]
        changed = contig[:place] + alt + contig[place + 1 :]
        (forth,) = variant_scores(model, contig.encode(), [Substitution(place, ref, alt)], 30)
        (back,) = variant_scores(model, changed.encode(), [Substitution(place, alt, ref)], 30)
        assert forth == pytest.approx(-back, abs=1e-4)
        assert abs(forth) > 1e-3


@pytest.mark.parametrize("name", ["ernie_rna", "dnabert_3mer"])
def test_the_minus_strand_is_the_plus_strand_of_the_reverse_complement(name):
    model, draw = tiny(name), np.random.default_rng(3)
    contig = "".join(draw.choice(list("ACGT"), 61))
    other = contig[::-1].translate(str.maketrans("ACGT", "TGCA"))
    for place in (0, 7, 30, 60):
        ref, alt = contig[place], "ACGT"[("ACGT".index(contig[place]) + 2) % 4]
        here = [Substitution(place, ref, alt)]
        there = [Substitution(60 - place, *(x.translate(str.maketrans("ACGT", "TGCA")) for x in (ref, alt)))]
        (plus,), (minus,), (both,) = (
            list(variant_scores(model, contig.encode(), here, 31, side)) for side in ("plus", "minus", "both")
        )
        (expected,) = variant_scores(model, other.encode(), there, 31)
        assert minus == pytest.approx(expected, abs=1e-4)
        assert both == pytest.approx((plus + minus) / 2, abs=1e-5)


def test_variants_next_to_unknown_bases_have_no_score_in_kmers_and_one_in_letters():
    contig = b"ACGTACGTNACGTACGT"
    near = [Substitution(9, "A", "G"), Substitution(2, "G", "T")]
    assert [score is None for score in variant_scores(tiny("dnabert_6mer"), contig, near, 17)] == [True, False]
    assert None not in list(variant_scores(tiny("mutbert"), contig, near, 17))


class Row:
    def __init__(self, contig: str, pos0: int, ref: str, alt: str, frequency: float | None = None):
        self.contig, self.pos0, self.ref, self.alt, self.frequency, self.id = contig, pos0, ref, alt, frequency, "."


def test_the_table_counts_what_it_could_not_score_and_keeps_file_order(tmp_path):
    rows = [Row("1", 1, "C", "T", 0.5), Row("chr1", 0, "A", "G", 0.1), Row("1", 2, "G", "A"), Row("9", 0, "A", "C")]
    from collections import Counter

    table = VariantTable([*rows, Row("1", 3, "A", "C", 0.2)], Counter(indel=3), "g.fa")
    assert table.names.means_any("chr1")
    assert not table.names.means_any("chr2")
    for name in table.names.of("chr1"):
        table.score(tiny("mutbert"), name, b"ACGTACGTAC", None)
    summary = table.summary()
    assert summary["scored"] == 3
    assert summary["left_out"] == {"indel": 3, "reference mismatch": 1, "contig not in the genome": 1}
    table.write(tmp_path / "scores.tsv")
    lines = [line.split("\t") for line in (tmp_path / "scores.tsv").read_text().splitlines()]
    assert lines[0] == ["contig", "pos", "id", "ref", "alt", "frequency", "score"]
    assert [line[:2] for line in lines[1:]] == [["1", "2"], ["chr1", "1"], ["1", "3"], ["9", "1"], ["1", "4"]]
    assert [bool(line[6]) for line in lines[1:]] == [True, True, True, False, False]


def test_variants_of_another_assembly_are_refused():
    from collections import Counter

    table = VariantTable([Row("1", place, "T", "C") for place in range(6)], Counter(), "g.fa")
    table.score(tiny("mutbert"), "1", b"AAAAAAAAAAT", None)
    with pytest.raises(
        PolymeraseError, match=r"6 of 6 variants disagree with the genome \(1:1 has REF T, but the genome has A\)"
    ):
        table.summary()
