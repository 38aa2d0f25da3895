"""What transformers saves of an export, our own commands read: evaluate, probe, compare and model.init_from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from pretrain.errors import PolymeraseError
from pretrain.evaluation.model import load_model
from pretrain.exporting.tensors import export_tensors
from pretrain.families import FAMILIES
from pretrain.importing import load_pretrained_state
from tests.exporting.forms import FORMS, job_of

COMING_BACK = (
    "bert", "bert_kmers", "esm", "bert_encoder", "ernie_rna", "mutbert", "modern", "sloped", "causal",
)  # fmt: skip
SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)


def saved(name: str, folder: Path, task: str) -> Path:
    """An export of the form, loaded with transformers and saved again."""
    job = job_of(name, folder / name)
    if task == "LM":
        task = "ForCausalLM" if job["causal"] else "ForMaskedLM"
    model = getattr(transformers, f"AutoModel{task}").from_pretrained(job["folder"], trust_remote_code=True)
    model.save_pretrained(folder / "again")
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["folder"], trust_remote_code=True)
    tokenizer.save_pretrained(folder / "again")
    return folder / "again"


@pytest.mark.parametrize("name", COMING_BACK)
def test_the_exported_folder_comes_back(name: str, tmp_path: Path) -> None:
    job, form = job_of(name, tmp_path / name), FORMS[name]
    family, settings, state = load_pretrained_state(job["folder"])
    assert (family.name, settings) == (form.family, form.settings)
    again = export_tensors(family, settings, state, form.kind).model
    written = load_file(Path(job["folder"]) / "model.safetensors")
    assert again.keys() == written.keys()
    assert all(torch.equal(again[key], written[key]) for key in written)
    assert load_model(job["folder"]) is not None


@pytest.mark.parametrize("name", ["bert", "esm", "ernie_rna", "mutbert", "sloped", "causal"])
def test_what_transformers_saved_with_its_head_comes_back(name: str, tmp_path: Path) -> None:
    again = saved(name, tmp_path, "LM")
    _, settings, state = load_pretrained_state(again)
    _, same, before = load_pretrained_state(tmp_path / name)
    assert settings == same
    assert all(torch.equal(before[key], state[key]) for key in before if not key.startswith("unused."))


@pytest.mark.parametrize("task", ["ForSequenceClassification", "ForTokenClassification"])
@pytest.mark.parametrize("name", ["bert", "esm", "ernie_rna", "mutbert", "causal", "gpt2"])
def test_the_encoder_of_a_classifier_that_transformers_saved_comes_back(name: str, task: str, tmp_path: Path) -> None:
    again = saved(name, tmp_path, task)
    assert any("classifier" in key or "score" in key for key in load_file(again / "model.safetensors"))
    _, settings, state = load_pretrained_state(again)
    _, same, before = load_pretrained_state(tmp_path / name)
    assert settings == same
    assert all(torch.equal(state[key], tensor) for key, tensor in before.items() if key.startswith("encoder."))
    assert not load_model(str(again)).has_output_head


@pytest.mark.parametrize("name", ["bert", "esm", "ernie_rna", "mutbert"])
def test_what_transformers_saved_without_its_head_comes_back(name: str, tmp_path: Path) -> None:
    again = saved(name, tmp_path, "")
    _, settings, state = load_pretrained_state(again)
    _, same, before = load_pretrained_state(tmp_path / name)
    assert settings == same
    assert all(torch.equal(state[key], tensor) for key, tensor in before.items() if key.startswith("encoder."))
    assert not any(key.startswith("mlm_head.") for key in state)


@pytest.mark.parametrize(
    ("key", "value"),
    [("hidden_size", "768"), ("mlp", "tanh"), ("num_attention_heads", 5), ("rope_scaling", {"type": "dynamic"})],
)
def test_a_config_that_makes_no_model_is_one_line(key: str, value: Any, tmp_path: Path) -> None:
    job = job_of("modern", tmp_path / "modern")
    config = Path(job["folder"]) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {key: value}))
    with pytest.raises(PolymeraseError) as refused:
        load_pretrained_state(job["folder"])
    assert "\n" not in str(refused.value)


def test_a_family_with_other_switches_comes_back_with_them(tmp_path: Path) -> None:
    _, settings, _ = load_pretrained_state(job_of("modern", tmp_path / "modern")["folder"])
    published = FAMILIES["ernie_rna"].settings
    assert (settings.pairing_bias, settings.mlp, settings.norm) == (False, "swiglu", "rms")
    assert (published.pairing_bias, published.mlp, published.norm) == (True, "gelu", "layer")


@pytest.mark.parametrize(
    ("name", "model_type"), [("ernie_rna", "ernie_rna"), ("mutbert", "mutbert")], ids=["ernie_rna", "mutbert"]
)
def test_folders_of_earlier_exports_are_read(name: str, model_type: str, tmp_path: Path) -> None:
    """They had a class per family: ERNIE-RNA's names were ours, MutBERT's those of the release."""
    job = job_of(name, tmp_path / name)
    folder = Path(job["folder"])
    family, settings, state = load_pretrained_state(folder)
    if name == "mutbert":
        found = {key: family.upstream.to_theirs(key) for key in state}
        tensors = {theirs[0]: state[key] for key, theirs in found.items() if theirs is not None}
    else:
        tensors = dict(state)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    shared = ("hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps", "initializer_range")
    config = {key: getattr(settings, key) for key in (*SIZES, *shared, "vocab_size")}
    config |= {"model_type": model_type, "polymerase_family": name, "hidden_act": "gelu", "pad_token_id": 1}
    (folder / "config.json").write_text(json.dumps(config))
    _, same, again = load_pretrained_state(folder)
    assert same == settings
    assert again.keys() == state.keys()
    assert all(torch.equal(again[key], state[key]) for key in state)
