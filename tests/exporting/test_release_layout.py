"""A trained HyenaDNA is written as the release's folders are, and read back as what it was."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from pretrain.cli import convert, export
from pretrain.errors import PolymeraseError
from pretrain.exporting.release_layout import write_release
from pretrain.families import FAMILIES
from pretrain.families.hyenadna import HYENADNA_HUB_KEYS
from pretrain.families.published import our_tensors
from pretrain.runs.checkpoint import WEIGHTS, find_checkpoint, read_tensors
from tests.models.test_hyenadna_golden import SETTINGS
from tests.training import corpora as build
from tests.training.ranks import command_line

FAMILY = FAMILIES["hyenadna_tiny_1k"]
HUB = replace(SETTINGS, filter_shift=0.05)


@pytest.fixture(scope="module")
def run(tmp_path_factory, corpora):
    folder = tmp_path_factory.mktemp("hyenadna")
    tree = build.tree(folder / "run", corpora["plain"], train__steps=2, schedule__total_steps=2)
    tree |= {"masking": {"strategy": "none"}, "objectives": {"causal_lm": {}}, "optimizer": {"lr": 1e-3}}
    tree["model"] = {"family": "hyenadna_tiny_1k", "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64,
                     "max_position_embeddings": 66}  # fmt: skip
    done = command_line("--config", str(build.write_yaml(folder / "run.yaml", tree)), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_the_files_are_those_of_the_release(golden, tmp_path):
    theirs = load_file(golden / "hyenadna" / "weights.safetensors")
    said = write_release(our_tensors(HYENADNA_HUB_KEYS, theirs), FAMILY, HUB, tmp_path / "hub", "Golden.", "mit")
    assert "read back equal" in said
    written = load_file(tmp_path / "hub" / "model.safetensors")
    assert written.keys() == theirs.keys()
    for name, tensor in theirs.items():
        constant = ".pos_emb." in name or ".deltas" in name
        torch.testing.assert_close(written[name], tensor, atol=2e-6 if constant else 0, rtol=0)
    config = json.loads((tmp_path / "hub" / "config.json").read_text())
    assert (config["d_model"], config["n_layer"], config["d_inner"], config["max_seq_len"]) == (32, 2, 128, 130)
    assert (config["vocab_size"], config["tie_word_embeddings"], config["model_type"]) == (12, False, "hyenadna")


def test_a_run_goes_out_under_the_names_of_the_release_and_comes_back_by_convert(run, tmp_path, capsys):
    assert export.main([str(run), "--layout", "release", "--out", str(tmp_path / "hub"), "--license", "mit"]) == 0
    assert "license: mit" in (tmp_path / "hub" / "README.md").read_text()
    assert not list((tmp_path / "hub").glob("*.py"))
    back = convert.main(["--family", "hyenadna_tiny_1k", str(tmp_path / "hub"), "--out", str(tmp_path / "back")])
    assert back == 0, capsys.readouterr().err
    ours, again = read_tensors(find_checkpoint(run), WEIGHTS), load_file(tmp_path / "back" / "model.safetensors")
    embedding = ours["encoder.embeddings.word.weight"]
    assert [tensor for tensor in again.values() if tensor.shape == embedding.shape and torch.equal(tensor, embedding)]


def test_what_has_no_place_in_the_release_is_one_line_and_nothing_is_written(golden, tmp_path, tiny_run, capsys):
    state = our_tensors(HYENADNA_HUB_KEYS, load_file(golden / "hyenadna" / "weights.safetensors"))
    with pytest.raises(PolymeraseError, match=r"trained with model\.filter_shift=0\.0; export it under our names"):
        write_release(state, FAMILY, SETTINGS, tmp_path / "hub", "Golden.", "mit")
    with pytest.raises(PolymeraseError, match=r"trained with model\.layer_norm_eps=0\.1; export it under our names"):
        write_release(state, FAMILY, replace(HUB, layer_norm_eps=0.1), tmp_path / "hub", "Golden.", "mit")
    assert export.main([str(tiny_run), "--layout", "release", "--out", str(tmp_path / "hub")]) == 2
    assert "hyenadna_tiny_1k_d128" in capsys.readouterr().err
    words = ["--layout", "release", "--kind", "encoder", "--out", str(tmp_path / "hub")]
    assert export.main([str(tiny_run), *words]) == 2
    assert "leave out --kind encoder" in capsys.readouterr().err
    assert not (tmp_path / "hub").exists()
