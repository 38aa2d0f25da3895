"""Dot-bracket files and zero-shot base pairs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pretrain.errors import PolymeraseError
from pretrain.evaluation.base_pairs import (
    attention_scores,
    canonical_pairs,
    contact_map,
    predict_pairs,
    score_structures,
    summary,
)
from pretrain.evaluation.dotbracket import f1, parse_dot_bracket, read_structures
from tests.evaluation.support import tiny


def test_nested_pairs_and_pseudoknots_are_read():
    assert parse_dot_bracket("((..))") == {(0, 5), (1, 4)}
    assert parse_dot_bracket("((.[[..)).]]") == {(0, 8), (1, 7), (3, 11), (4, 10)}
    assert parse_dot_bracket("A(.a)") == {(0, 3), (1, 4)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [("(()", "'(' at 1 has no closing symbol"), ("())", "has no opening symbol"), ("(x)", "not a dot-bracket")],
)
def test_wrong_brackets_are_named_with_their_place(text, problem):
    with pytest.raises(PolymeraseError, match="structure") as caught:
        parse_dot_bracket(text)
    assert problem in str(caught.value)


def test_files_of_rnafold_are_read_and_wrong_records_named(tmp_path: Path):
    good = tmp_path / "good.dbn"
    good.write_text(">a one\nGGGTTTCCC\n(((...))) ( -1.20)\n\n>b\nacgu\n....\n")
    records = read_structures(good)
    assert [(r.name, r.sequence, len(r.pairs)) for r in records] == [("a", "GGGUUUCCC", 3), ("b", "ACGU", 0)]
    bad = tmp_path / "bad.dbn"
    bad.write_text(">a\nGGG\n(((\n>b\nGGG\n..\n")
    with pytest.raises(PolymeraseError, match="no closing symbol"):
        read_structures(bad)
    bad.write_text(">a\nGGG\n...\n>b\nGGG\n..\n")
    with pytest.raises(PolymeraseError, match=r"record 2 \(b\): 3 letters and 2 symbols"):
        read_structures(bad)


def test_f1_is_the_harmonic_mean():
    assert f1({(0, 5), (1, 4)}, {(0, 5), (2, 3)}) == pytest.approx(0.5)
    assert f1(set(), set()) == 1.0
    assert f1(set(), {(0, 5)}) == 0.0


def as_specified(scores: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """The procedure of recipes/ernie_rna.md#structure, as its sentences say it, in torch and loops over rows."""

    def f(x):
        return 1 / (1 + torch.exp(-2 * x))

    def contacts(a):
        return allowed * (a * a + (a * a).T) / 2

    u = (scores + scores.T) / 2
    u = f(u - 1.5) * u
    a = torch.sigmoid(u) * f(u - 1.5)
    lam = torch.relu(contacts(a).sum(1) - 1)
    e, r = 0.01, 0.1
    for _ in range(100):
        pull = lam * f(contacts(a).sum(1) - 1)
        g = torch.stack([pull[i] - u[i] / 2 for i in range(len(u))])
        a = a - e * (a * allowed * (g + g.T))
        e *= 0.99
        a = torch.relu(torch.abs(a) - 1.6 * e)
        lam = lam + r * torch.relu(contacts(a).sum(1) - 1)
        r *= 0.99
    return contacts(a)


def test_the_contact_map_is_the_specified_one():
    draw = np.random.default_rng(5)
    sequence = "".join(draw.choice(list("ACGU"), 24))
    scores, allowed = draw.normal(1.0, 2.0, (24, 24)), canonical_pairs(sequence)
    expected = as_specified(torch.from_numpy(scores), torch.from_numpy(allowed))
    np.testing.assert_allclose(contact_map(scores, allowed), expected.numpy(), atol=1e-12)


def test_a_helix_in_the_scores_is_found_and_every_base_pairs_once():
    sequence = "GGGGAAAACCCC"
    scores = np.full((12, 12), -3.0)
    for i in range(4):
        scores[i, 11 - i] = scores[11 - i, i] = 6.0
    assert predict_pairs(scores, sequence) == {(0, 11), (1, 10), (2, 9), (3, 8)}
    everything = predict_pairs(np.full((12, 12), 6.0) + np.random.default_rng(1).normal(0, 0.1, (12, 12)), sequence)
    bases = [base for pair in everything for base in pair]
    assert len(bases) == len(set(bases))
    assert all(sequence[i] + sequence[j] in ("GC", "CG") for i, j in everything)


def test_scores_are_those_of_the_last_layer_without_special_tokens():
    model = tiny("ernie_rna")
    scores = attention_scores(model, "GGGAAAUCC")
    assert scores.shape == (4, 9, 9)
    ids = model.tokenizer.encode_text("GGGAAAUCC")
    from pretrain.evaluation.passes import pack

    with torch.no_grad():
        output = model.network.encoder(pack(model, ids, [11]), return_extras=True)
    np.testing.assert_allclose(scores, output.extras["scores"][0][2, :, 1:10, 1:10].numpy(), atol=1e-6)


def test_every_head_and_the_energy_model_are_reported(tmp_path: Path):
    path = tmp_path / "known.dbn"
    path.write_text(">a\nGGGGAAAACCCC\n((((....))))\n>b\nGGCGAAAGCC\n(((....)))\n")
    report = summary(score_structures(tiny("ernie_rna"), read_structures(path)), None)
    assert (report["records"], report["head"], len(report["f1_by_head"])) == (2, 3, 4)  # 4 heads: no head 5
    assert report["f1"] == report["f1_by_head"][3]
    assert report["f1_mfe"] == pytest.approx(1.0)
    with pytest.raises(PolymeraseError, match="heads 0 to 3"):
        summary(score_structures(tiny("ernie_rna"), read_structures(path)), 4)


def test_models_without_pairing_are_refused():
    with pytest.raises(
        PolymeraseError, match="utr_lm models have no base-pairing scores; use a model with a pairing bias"
    ):
        score_structures(tiny("utr_lm"), [])
