"""Published checkpoints become our tensors exactly, or the error names what is wrong with them."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.families import FAMILIES, TRANSFORMS, Family
from pretrain.families.published import published_model
from pretrain.importing import Imported, import_published, load_pretrained_state, read_source
from pretrain.models import architecture_of
from tests.families.tiny import second_copies, tiny

TINY = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20}


def tiny_settings(family: Family) -> Any:
    """Of a tiny model of the family."""
    return replace(tiny(family, width=24, heads=3, inner=20), max_position_embeddings=40)


def unseen(settings: Any) -> dict[str, Any]:
    """What no tensor tells."""
    return {key: getattr(settings, key) for key in architecture_of(settings).unseen}


def tiny_state(family: Family) -> dict[str, Tensor]:
    """Random weights of a tiny model of the family; nothing is zero, pad rows included."""
    settings = tiny_settings(family)
    generator = torch.Generator().manual_seed(7)
    shapes = {name: tensor.shape for name, tensor in published_model(settings, family.heads).state_dict().items()}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def upstream_tensors(family: Family, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state in the release's own layout, second copies of tied tensors included."""
    tensors = {}
    for name, tensor in state.items():
        found = family.upstream.to_theirs(name)
        assert found is not None, name
        tensors[found[0]] = TRANSFORMS[found[1].transform][1](tensor)
    return tensors | second_copies(family.upstream, tensors)


def read(path: Path, family: str, **settings: Any) -> Imported:
    return import_published(read_source(path), FAMILIES[family], settings)


@pytest.fixture
def beside(tmp_path: Path, byte_pairs: Path) -> Callable[[str], None]:
    """Puts the tokenizer of a family that reads it from a file beside the weights."""
    return lambda name: (
        None if FAMILIES[name].tokenizer != "bpe" else (tmp_path / "tokenizer.json").hardlink_to(byte_pairs)
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_a_file_in_the_releases_layout_gives_exactly_our_tensors(tmp_path: Path, name: str, beside: Callable) -> None:
    beside(name)
    state = tiny_state(FAMILIES[name])
    torch.save(upstream_tensors(FAMILIES[name], state), tmp_path / "checkpoint.bin")
    settings = tiny_settings(FAMILIES[name])
    imported = read(tmp_path / "checkpoint.bin", name, **unseen(settings))
    assert imported.layout == "upstream"
    assert imported.state.keys() == state.keys()
    assert all(torch.equal(imported.state[key], state[key]) for key in state)
    for key in TINY:
        assert getattr(imported.settings, key, None) == getattr(settings, key, None), key
    published_model(imported.settings, FAMILIES[name].heads).load_state_dict(imported.state)


def test_every_tensor_of_the_golden_checkpoints_is_used_or_known_to_be_unused(golden: Path) -> None:
    ernie = read(golden / "ernie_rna" / "weights.safetensors", "ernie_rna")
    assert len(ernie.state) == 64  # 65 entries, one of them a dummy
    assert {name.split(".")[1] for name in ernie.state if name.startswith("unused.")} == {
        "pooler",
        "segment",
        "sentence_projection",
    }
    assert ernie.state["encoder.embeddings.word.weight"][1].abs().sum() > 0, "the pad row was zeroed"
    paddle = read(golden / "rnaernie" / "tiny_rnaernie" / "paddle_layout.npz", "rnaernie")
    assert paddle.settings.num_attention_heads == 4, "from config.json beside the file"
    assert paddle.settings.max_position_embeddings == 72
    mutbert = read(golden / "mutbert" / "mlm_weights.safetensors", "mutbert", num_attention_heads=4)
    assert len(mutbert.state) == 41  # 43 entries, two of them second copies


def test_utr_lm_files_are_read_with_and_without_the_prefix_of_the_multi_gpu_scripts(
    golden: Path, tmp_path: Path
) -> None:
    (path,) = (golden / "utr_lm").glob("tiny_ESM2SI_*.pkl")
    prefixed = read(path, "utr_lm")
    assert prefixed.settings.num_attention_heads == 4, "from the contact head"
    assert set(prefixed.state) >= {"heads.mfe.linear.weight", "heads.mfe.linear.bias"}
    plain = {key.removeprefix("module."): tensor for key, tensor in torch.load(path, weights_only=True).items()}
    torch.save(plain, tmp_path / "plain.pkl")
    again = read(tmp_path / "plain.pkl", "utr_lm")
    assert again.state.keys() == prefixed.state.keys()
    assert all(torch.equal(again.state[key], prefixed.state[key]) for key in again.state)


def test_a_paddle_file_is_transposed_square_matrices_included(golden: Path, tmp_path: Path) -> None:
    layout = golden / "rnaernie" / "tiny_rnaernie" / "paddle_layout.npz"
    arrays = dict(np.load(layout))
    (tmp_path / "model_state.pdparams").write_bytes(pickle.dumps(arrays, 4))
    imported = read(tmp_path / "model_state.pdparams", "rnaernie", num_attention_heads=4)
    theirs = arrays["ernie.encoder.layers.1.self_attn.q_proj.weight"]
    np.testing.assert_array_equal(imported.state["encoder.layers.1.attention.query.weight"].numpy(), theirs.T)


def test_half_precision_checkpoints_become_float32(tmp_path: Path) -> None:
    family = FAMILIES["ernie_rna"]
    tensors = {key: tensor.half() for key, tensor in upstream_tensors(family, tiny_state(family)).items()}
    torch.save({"model": tensors, "args": {"fp16": True}}, tmp_path / "m.pt")
    imported = read(tmp_path / "m.pt", "ernie_rna")
    assert {tensor.dtype for tensor in imported.state.values()} == {torch.float32}


def test_a_release_archive_doubles_the_output_bias_and_a_transformers_folder_does_not(tmp_path: Path) -> None:
    """Both have the same names; only config.json tells the fork of 2020 from transformers."""
    family = FAMILIES["utrbert_3mer"]
    tensors = upstream_tensors(family, tiny_state(family))
    config: dict[str, Any] = {**TINY, "vocab_size": 69, "max_position_embeddings": 40}
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    for marker, factor in ({}, 2.0), ({"transformers_version": "4.46.0"}, 1.0):
        (tmp_path / "config.json").write_text(json.dumps(config | marker))
        imported = read(tmp_path, "utrbert_3mer")
        assert torch.equal(imported.state["mlm_head.bias"], tensors["cls.predictions.bias"] * factor)


def test_a_folder_of_the_bare_encoder_is_read_and_has_no_output_head(tmp_path: Path) -> None:
    family = FAMILIES["utrbert_4mer"]
    tensors = upstream_tensors(family, tiny_state(family))
    bare = {key.removeprefix("bert."): tensor.clone() for key, tensor in tensors.items() if key.startswith("bert.")}
    save_file(bare, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 3, "transformers_version": "5.0.0"}))
    imported = read(tmp_path, "utrbert_4mer")
    assert "mlm_head.bias" not in imported.state
    assert torch.equal(imported.state["encoder.embeddings.word.weight"], bare["embeddings.word_embeddings.weight"])


def test_a_folder_of_transformers_ernie_class_is_an_rnaernie(tmp_path: Path) -> None:
    from transformers import ErnieConfig, ErnieForMaskedLM

    sizes = TINY | {"vocab_size": 39, "max_position_embeddings": 40, "hidden_act": "relu"}
    ErnieForMaskedLM(ErnieConfig(**sizes)).save_pretrained(tmp_path / "ernie")
    family, settings, state = load_pretrained_state(tmp_path / "ernie")
    assert (family.name, settings.mlp, settings.num_attention_heads) == ("rnaernie", "relu", 3)
    theirs = load_file(tmp_path / "ernie" / "model.safetensors")
    query = theirs["ernie.encoder.layer.1.attention.self.query.weight"]
    assert torch.equal(state["encoder.layers.1.attention.query.weight"], query)
    ErnieForMaskedLM(ErnieConfig(**sizes, use_task_id=True)).save_pretrained(tmp_path / "tasks")
    with pytest.raises(PolymeraseError, match="task_type_embeddings"):
        read(tmp_path / "tasks", "rnaernie")


@pytest.mark.parametrize("name", FAMILIES)
def test_names_that_a_parallel_wrapper_wrote_are_read(tmp_path: Path, name: str, beside: Callable) -> None:
    beside(name)
    state = tiny_state(FAMILIES[name])
    wrapped = {f"module.{key}": tensor for key, tensor in upstream_tensors(FAMILIES[name], state).items()}
    torch.save(wrapped, tmp_path / "checkpoint.bin")
    imported = read(tmp_path / "checkpoint.bin", name, **unseen(tiny_settings(FAMILIES[name])))
    assert all(torch.equal(imported.state[key], state[key]) for key in state)


def test_a_folder_says_which_family_it_is_or_is_recognized(tmp_path: Path) -> None:
    for name, marker in (("mutbert", {}), ("rnaernie2", {}), ("utrbert_5mer", {"polymerase_family": "utrbert_5mer"})):
        folder = tmp_path / name
        folder.mkdir()
        torch.save(upstream_tensors(FAMILIES[name], tiny_state(FAMILIES[name])), folder / "pytorch_model.bin")
        (folder / "config.json").write_text(json.dumps({"num_attention_heads": 3} | marker))
        family, settings, state = load_pretrained_state(folder)
        assert family.name == name
        assert settings.hidden_size == 24
        assert "mlm_head.bias" in state


def test_rna_and_dna_k_mers_are_told_apart_by_the_vocabulary_beside_them(tmp_path: Path) -> None:
    torch.save(upstream_tensors(FAMILIES["dnabert_3mer"], tiny_state(FAMILIES["dnabert_3mer"])), tmp_path / "m.bin")
    (tmp_path / "config.json").write_text('{"num_attention_heads": 3}')
    with pytest.raises(PolymeraseError, match="utrbert_3mer or dnabert_3mer"):
        load_pretrained_state(tmp_path)
    letters = [a + b + c for a in "ATCG" for b in "ATCG" for c in "ATCG"]
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]) + "\n")
    assert load_pretrained_state(tmp_path)[0].name == "dnabert_3mer"


Damage = Callable[[dict[str, Tensor]], object]


@pytest.mark.parametrize(
    ("family", "damage", "message"),
    [
        (
            "ernie_rna",
            lambda t: t.pop("encoder.sentence_encoder.layers.1.fc1.bias"),
            r"missing: .*layers\.1\.fc1\.bias",
        ),
        ("ernie_rna", lambda t: t.update({"encoder.extra.weight": torch.ones(2)}), r"does not have: encoder\.extra"),
        ("ernie_rna", lambda t: t.pop("encoder.layer_norm.bias"), r"missing: encoder\.layer_norm\.bias"),
        (
            "ernie_rna",
            lambda t: t.update({"encoder.layer_norm.bias": torch.ones(25)}),
            r"encoder\.layer_norm\.bias becomes \(25,\), expected \(24,\)",
        ),
        (
            "ernie_rna",
            lambda t: t["encoder.layer_norm.bias"].fill_(float("nan")),
            r"NaN or infinite values in encoder\.layer_norm\.bias",
        ),
        (
            "ernie_rna",
            lambda t: t.update({"encoder.sentence_encoder.embed_tokens.weight": torch.ones(28, 24)}),
            "a vocabulary of 28 tokens, ernie_rna has 25",
        ),
        (
            "utr_lm",
            lambda t: t.update({"lm_head.weight": t["lm_head.weight"] + 1}),
            r"lm_head\.weight should be a copy of embed_tokens\.weight",
        ),
        ("utr_lm", lambda t: t.pop("structure_linear.bias"), r"missing: structure_linear\.bias"),
        (
            "rnaernie",
            lambda t: t.update({"ernie.encoder.layers.0.linear1.weight": torch.ones(20, 24)}),
            r"linear1\.weight becomes \(24, 20\).*stored the other way round",
        ),
        (
            "mutbert",
            lambda t: t.update({"bert.embeddings.LayerNorm.weight": torch.ones(24, dtype=torch.int8)}),
            r"no floating point numbers where weights should be: bert\.embeddings\.LayerNorm\.weight",
        ),
        ("mutbert", lambda t: t.clear(), "no named tensors at the top"),
        (
            "utrbert_4mer",
            lambda t: t.update({"bert.pooler.dense.weight": torch.ones(24, 24)}),
            r"missing: bert\.pooler\.dense\.bias",
        ),
        (
            "utrbert_4mer",
            lambda t: t.update({f"bert.pooler.dense.{part}": torch.ones(24) for part in ("weight", "bias")}),
            r"pooler\.dense\.weight becomes \(24,\), expected \(24, 24\)",
        ),
    ],
)
def test_what_is_wrong_with_a_checkpoint_is_named(tmp_path: Path, family: str, damage: Damage, message: str) -> None:
    tensors = upstream_tensors(FAMILIES[family], tiny_state(FAMILIES[family]))
    damage(tensors)
    torch.save(tensors, tmp_path / "m.pt")
    with pytest.raises(PolymeraseError, match=message) as caught:
        read(tmp_path / "m.pt", family, num_attention_heads=3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("made", "asked", "message"),
    [
        ("ernie_rna", "utr_lm", "looks like ernie_rna, not utr_lm"),
        ("utr_lm", "ernie_rna", "looks like utr_lm, not ernie_rna"),
        ("mutbert", "utrbert_3mer", "looks like mutbert, not utrbert_3mer"),
        ("utrbert_4mer", "utrbert_3mer", "looks like utrbert_4mer or dnabert_4mer, not utrbert_3mer"),
        ("rnaernie", "rnaernie2", "looks like rnaernie, not rnaernie2"),
    ],
)
def test_the_checkpoint_of_another_family_is_recognized(tmp_path: Path, made: str, asked: str, message: str) -> None:
    torch.save(upstream_tensors(FAMILIES[made], tiny_state(FAMILIES[made])), tmp_path / "m.pt")
    with pytest.raises(PolymeraseError, match=message):
        read(tmp_path / "m.pt", asked, num_attention_heads=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"add model\.num_attention_heads=N"),
        ({"num_heads": 3}, r"did you mean model\.num_attention_heads"),
        ({"num_attention_heads": 3, "hidden_size": 48}, "hidden_size is stated as 48, its tensors have 24"),
        ({"num_attention_heads": 5}, "not a multiple"),
        ({"num_attention_heads": "three"}, "expected a whole number from 1 up"),
        ({"num_attention_heads": 0}, "expected a whole number from 1 up"),
        (
            {"num_attention_heads": 3, "hidden_act": "gelu_new"},
            "hidden_act is stated as 'gelu_new'; there are gelu, gelu_tanh, relu",
        ),
        ({"num_attention_heads": 3, "layer_norm_eps": "small"}, "layer_norm_eps is stated as 'small'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    torch.save(upstream_tensors(FAMILIES["mutbert"], tiny_state(FAMILIES["mutbert"])), tmp_path / "m.pt")
    with pytest.raises(PolymeraseError, match=message):
        read(tmp_path / "m.pt", "mutbert", **settings)


def test_a_model_in_several_files_is_put_together_and_may_not_leave_its_folder(tmp_path: Path) -> None:
    tensors = upstream_tensors(FAMILIES["rnaernie2"], tiny_state(FAMILIES["rnaernie2"]))
    half = len(tensors) // 2
    parts = {"a.safetensors": dict(list(tensors.items())[:half]), "b.safetensors": dict(list(tensors.items())[half:])}
    for name, part in parts.items():
        save_file({key: tensor.clone() for key, tensor in part.items()}, tmp_path / name)
    index = {"weight_map": {key: name for name, part in parts.items() for key in part}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "mlm_head.bias" in read(tmp_path, "rnaernie2", num_attention_heads=3).state
    (tmp_path / "b.safetensors").rename(tmp_path / "elsewhere")
    with pytest.raises(PolymeraseError, match=r"b\.safetensors: named in .*index\.json, but not there; 2 files belong"):
        read_source(tmp_path)
    index["weight_map"]["x"] = "../../etc/passwd"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(PolymeraseError, match="outside its folder"):
        read_source(tmp_path)


def test_a_layer_number_out_of_nowhere_allocates_nothing(tmp_path: Path, golden: Path) -> None:
    tensors = load_file(golden / "ernie_rna" / "weights.safetensors")
    tensors["encoder.sentence_encoder.layers.999999999.fc1.bias"] = torch.ones(64)
    save_file(tensors, tmp_path / "m.safetensors")
    with pytest.raises(PolymeraseError, match="layer 999999999"):
        read(tmp_path / "m.safetensors", "ernie_rna")


@pytest.mark.parametrize("files", [[], ["a.pt", "b.pt"]])
def test_a_folder_without_one_checkpoint_is_refused(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        torch.save({"w": torch.ones(1)}, tmp_path / name)
    with pytest.raises(PolymeraseError, match=r"no checkpoint file|several checkpoint files: a\.pt, b\.pt"):
        read_source(tmp_path)


WRAPPED = ("module.", "_orig_mod.", "model.", "module._orig_mod.", "_forward_module.model.", "model.net.")


@pytest.mark.parametrize("prefix", WRAPPED)
@pytest.mark.parametrize(
    "name", ["rinalmo_nano", "nt_v2_50m", "gpn_convnet", "helm_clm", "hyenadna_tiny_1k", "mutbert"]
)
def test_names_that_training_code_wraps_are_unwrapped(tmp_path: Path, name: str, prefix: str) -> None:
    family = FAMILIES[name]
    state = tiny_state(family)
    torch.save({prefix + k: v for k, v in upstream_tensors(family, state).items()}, tmp_path / "m.pt")
    found = read(tmp_path / "m.pt", name, **unseen(tiny_settings(family)))
    assert found.state.keys() == state.keys()
    assert all(torch.equal(found.state[key], state[key]) for key in state)


@pytest.mark.parametrize("suffix", [".ckpt", ".pth"])
def test_the_only_checkpoint_of_a_folder_is_read_whatever_its_ending(tmp_path: Path, suffix: str) -> None:
    state = tiny_state(FAMILIES["mutbert"])
    wrapped = {f"model.{key}": tensor for key, tensor in upstream_tensors(FAMILIES["mutbert"], state).items()}
    torch.save({"epoch": 3, "state_dict": wrapped, "optimizer_states": []}, tmp_path / f"last{suffix}")
    found = read(tmp_path, "mutbert", num_attention_heads=3)
    assert all(torch.equal(found.state[key], state[key]) for key in state)


def test_weights_in_several_files_are_read_from_their_folder(tmp_path: Path) -> None:
    family = FAMILIES["mutbert"]
    state = tiny_state(family)
    tensors = upstream_tensors(family, state)
    names = sorted(tensors)
    parts = {"pytorch_model-00001-of-00002.bin": names[:9], "pytorch_model-00002-of-00002.bin": names[9:]}
    for file, some in parts.items():
        torch.save({key: tensors[key] for key in some}, tmp_path / file)
    index = {"weight_map": {key: file for file, some in parts.items() for key in some}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    found = read(tmp_path, "mutbert", num_attention_heads=3)
    assert all(torch.equal(found.state[key], state[key]) for key in state)
    (tmp_path / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(PolymeraseError, match=r"named in pytorch_model\.bin\.index\.json, but not there"):
        read(tmp_path, "mutbert", num_attention_heads=3)
