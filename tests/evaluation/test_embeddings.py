"""Embeddings: pooled as said, whatever shares the batch, written whole."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.evaluation.embeddings import embed, write_embeddings
from pretrain.evaluation.length_limits import fit
from pretrain.evaluation.passes import pack
from pretrain.evaluation.probing.table import LabeledSequences
from pretrain.evaluation.probing.tuning import Tuned, Tuning
from pretrain.families.custom import custom_family
from tests.evaluation.support import tiny, tiny_causal

ROWS = ["GATTACAGGCTTAC", "ACGTACGTACGTACGTACGTAA", "CCGGTTAA"]
IDS = ["a", "b", "c"]


def ragged(rows: list[str]) -> Ragged:
    return Ragged.from_rows([row.encode() for row in rows])


@pytest.mark.parametrize("name", ["ernie_rna", "mutbert", "utrbert_4mer"])
@pytest.mark.parametrize("layer", [-1, 0, 1])
def test_pools_are_those_of_each_sequence_alone(name, layer):
    model = tiny(name)
    pooled = {pool: embed(model, IDS, ragged(ROWS), pool, layer) for pool in ("mean", "cls", "token")}
    bounds = pooled["token"].offsets
    for number, row in enumerate(ROWS):
        tokens = model.tokenizer.encode(ragged([row]))
        with torch.no_grad():
            states = model.network.encoder(pack(model, tokens.ids, [len(tokens.ids)]), return_states=True).states
        alone = states[layer].numpy()
        np.testing.assert_allclose(pooled["cls"].values[number], alone[0], atol=1e-5)
        np.testing.assert_allclose(pooled["mean"].values[number], alone[1:-1].mean(0), atol=1e-5)
        np.testing.assert_allclose(pooled["token"].values[bounds[number] : bounds[number + 1]], alone[1:-1], atol=1e-5)


@pytest.mark.parametrize("name", ["hyenadna_tiny_1k", "gpn_convnet", "helm_clm"])
def test_the_first_token_is_refused_where_it_says_nothing_of_the_sequence(name):
    """HyenaDNA and GPN begin with a letter; in causal models the first token sees itself alone."""
    model = tiny(name)
    assert model.family.fine_tuning_head == "mean"
    with pytest.raises(PolymeraseError, match=rf"--pool cls reads the first token, but tiny {name} (is causal|has no)"):
        embed(model, IDS, ragged(ROWS), "cls")
    labels = LabeledSequences(IDS, ragged(ROWS), np.arange(len(IDS)) % 2, ("a", "b"))
    with pytest.raises(PolymeraseError, match="--head pooler reads the first token"):
        Tuned(model, labels, Tuning("pooler", 1, 1e-3, 2))
    assert np.ptp(embed(model, IDS, ragged(ROWS), "mean").values, axis=0).max() > 0


def test_a_model_of_no_family_is_fine_tuned_with_a_head_that_fits_it():
    assert tiny_causal("transformer").family.fine_tuning_head == "mean"
    assert custom_family(tiny("mutbert").settings, "mutbert", {}).fine_tuning_head == "pooler"
    assert custom_family(tiny("gpn_convnet").settings, "gpn", {}).fine_tuning_head == "mean"


def test_both_formats_hold_the_same(tmp_path: Path):
    found = embed(tiny("ernie_rna"), IDS, ragged(ROWS), "token")
    write_embeddings(tmp_path / "e.npz", found)
    write_embeddings(tmp_path / "e.safetensors", found)
    arrays = np.load(tmp_path / "e.npz", allow_pickle=False)
    with safe_open(tmp_path / "e.safetensors", "np") as file:
        assert json.loads(file.metadata()["ids"]) == arrays["ids"].tolist() == IDS
        for name in ("embeddings", "offsets"):
            np.testing.assert_array_equal(file.get_tensor(name), arrays[name])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.npz", "e.safetensors"]
    with pytest.raises(PolymeraseError, match=r"\.npz or \.safetensors"):
        write_embeddings(tmp_path / "e.csv", found)


def test_a_layer_that_does_not_exist_is_named():
    with pytest.raises(PolymeraseError, match=r"expected a layer from 0 \(embeddings\) to 2, got 3"):
        embed(tiny("ernie_rna"), IDS, ragged(ROWS), "mean", 3)


def test_records_that_do_not_fit_are_an_error_cut_or_left_out():
    model, rows = tiny("utrbert_4mer"), ["ACG", "ACGT" * 20, "ACGTACGT"]  # 64 tokens hold 65 nt
    with pytest.raises(PolymeraseError, match="b has 80 nt, the longest input is 65"):
        fit(model, "my.fa", IDS, ragged(rows), "error")
    ids, kept, left_out = fit(model, "my.fa", IDS, ragged(rows), "crop")
    assert (ids, kept.lengths.tolist()) == (["b", "c"], [65, 8])
    assert left_out == {"shorter than 4 nt": 1, "longer than 65 nt, cut": 1}
    ids, kept, left_out = fit(model, "my.fa", IDS, ragged(rows), "skip")
    assert (ids, kept.rows()) == (["c"], [b"ACGTACGT"])
    with pytest.raises(PolymeraseError, match="no record fits"):
        fit(model, "my.fa", ["a"], ragged(["ACG"]), "skip")


def test_letters_of_a_partial_codon_are_cut_and_counted():
    ids, kept, left_out = fit(tiny("helm_clm"), "my.fa", IDS, ragged(["ATGA", "ATGATG", "AT"]), "error")
    assert (ids, kept.rows()) == (["a", "b"], [b"ATG", b"ATGATG"])
    assert left_out == {"shorter than 3 nt": 1, "with last letters that make no whole token, cut": 1}
