"""Comparisons: a model is itself, a trained one is not, and each verdict can be false."""

import json

import numpy as np
import pytest
import torch

from data_prep.corpus import Ragged
from pretrain.evaluation.compare import compare
from pretrain.evaluation.compare.states import _cka, compare_states, probe_sequences
from pretrain.evaluation.compare.verdict import page, reproduced, verdicts
from pretrain.evaluation.model import random_twin
from tests.evaluation.support import error_line, in_process, tiny


def answers(result, tolerance=0.01):
    return {question: answer for question, answer, _ in verdicts(result, tolerance)}


def test_a_model_is_itself():
    result = compare(tiny("ernie_rna"), tiny("ernie_rna"), None, [], 10)
    assert answers(result) == {
        "same tokens": True, "same sizes": True, "same weights": True, "same hidden states": True, "loss as good": None,
    }  # fmt: skip
    assert reproduced(verdicts(result, 0.01)) is None
    assert all(layer["cka"] == pytest.approx(1) for layer in result["states"]["layers"])


def test_one_changed_tensor_is_found_and_shown_first():
    ours, published = tiny("utr_lm"), tiny("utr_lm")
    with torch.no_grad():
        ours.network.encoder.layers[1].mlp.down.weight[3, 5] += 0.25
    result = compare(ours, published, None, [], 10)
    assert answers(result)["same weights"] is False
    assert answers(result)["same hidden states"] is False
    changed = {name for name, row in result["weights"]["by_name"].items() if row["largest"]}
    assert changed == {"encoder.layers.1.mlp.down.weight"}
    assert result["weights"]["largest_difference"] == pytest.approx(0.25)
    assert [layer["largest"] > 0 for layer in result["states"]["layers"]] == [False, False, True]
    assert "encoder.layers.1.mlp.down.weight" in page(result, verdicts(result, 0.01), 0.01).splitlines()[-8]


def test_other_tokens_and_sizes_are_told_not_compared_blindly():
    result = compare(tiny("mutbert"), tiny("rnaernie2"), None, [], 10)
    found = answers(result)
    assert found["same tokens"] is found["same sizes"] is False
    assert (found["same hidden states"], found["loss as good"]) == (None, None)
    assert reproduced(verdicts(result, 0.01)) is False


def test_cka_does_not_see_rotations_and_scales_and_sees_everything_else():
    draw = np.random.default_rng(3)
    x = draw.normal(size=(300, 8))
    rotation, _ = np.linalg.qr(draw.normal(size=(8, 8)))
    assert _cka(x, 3 * x @ rotation) == pytest.approx(1)
    assert _cka(x, draw.normal(size=(300, 8))) < 0.1


def test_states_are_compared_batch_by_batch_as_alone():
    model, twin = tiny("ernie_rna"), random_twin(tiny("ernie_rna"), 1)
    rows = probe_sequences(model, None)
    whole = compare_states(model, twin, rows)
    first = compare_states(model, twin, Ragged(rows.values[: rows.offsets[1]], rows.offsets[:2]))
    assert whole["layers"][2]["largest"] >= first["layers"][2]["largest"] > 0.1


def test_losses_are_those_of_evaluate_and_the_verdict_follows_them(tiny_run, corpora, tmp_path):
    arguments = [tiny_run, tiny_run, "--corpus", corpora["plain"], "--json"]
    status, out, err = in_process("compare.py", *arguments)
    assert status == 0, err
    result = json.loads(out)
    assert result["reproduced"] is True
    assert result["losses"]["difference"] == 0
    assert result["losses"]["same_prediction"] == 1
    _, out, _ = in_process("evaluate.py", tiny_run, "--corpus", corpora["plain"], "--json")
    assert result["losses"]["loss"][0] == pytest.approx(json.loads(out)["objectives"]["mlm"]["loss"], rel=1e-5)


def test_held_out_records_that_a_model_was_trained_on_are_counted_for_both(tiny_run, corpora):
    """A run of another corpus has read what this corpus holds out, or not: its loss is no loss on new records then."""
    command = ("compare.py", tiny_run, tiny_run, "--corpus", corpora["labeled"])
    status, out, err = in_process(*command)
    assert status == 0, err
    both = [line for line in out.splitlines() if line.split(":")[0] in ("ours", "published")]
    assert [line.split(":")[0] for line in both] == ["ours", "published"]
    assert all(f"relatives in the pretraining corpus ({corpora['labeled']}): Of " in line for line in both)
    counted = json.loads(in_process(*command, "--pretrained-on", corpora["plain"], "--json")[1])["leak"]
    assert counted["ours"]["corpora"] == [str(corpora["plain"])]
    assert "--pretrained-on has no effect without --corpus" in error_line(
        "compare.py", tiny_run, tiny_run, "--pretrained-on", corpora["plain"]
    )


def test_a_worse_model_is_not_called_a_reproduction(tiny_run, corpora):
    from pretrain.evaluation.model import load_model

    trained = load_model(str(tiny_run))
    spoiled = load_model(str(tiny_run))
    with torch.no_grad():
        spoiled.network.mlm_head.bias[10] += 20
    result = compare(spoiled, trained, str(corpora["plain"]), [], 100)
    assert result["losses"]["difference"] > 1
    assert reproduced(verdicts(result, 0.01)) is False
    assert "not reproduced" in page(result, verdicts(result, 0.01), 0.01)


def test_wrong_input_is_one_line(tiny_run, tmp_path):
    assert "expected a run folder" in error_line("compare.py", tiny_run, tmp_path)
    assert "corpus 'nowhere' does not exist" in error_line("compare.py", tiny_run, tiny_run, "--corpus", "nowhere")
