"""Wrong input to launch/convert.py, for every family: one line, exit status 2, and nothing beside what was there."""

import json
import os
import pickle
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.exporting.form import config_json
from pretrain.exporting.hf_tokenizers import write_tokenizer
from pretrain.exporting.tensors import export_tensors
from pretrain.families import FAMILIES, TRANSFORMS
from pretrain.families.own_code import form_of
from pretrain.families.published import published_model
from pretrain.importing import import_published, load_pretrained_state, read_source
from pretrain.tokenizers import build_tokenizer

KINDS = ["ernie_rna", "rnaernie", "rnaernie2", "utr_lm", "utrbert_3mer", "dnabert_4mer", "mutbert"]
SIZES = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40,
    "max_position_embeddings": 48,
}  # fmt: skip


class Released:
    """A tiny model of a family in the release's layout, ready to be damaged."""

    def __init__(self, name: str):
        self.family = FAMILIES[name]
        self.settings = replace(self.family.settings, **SIZES)
        generator = torch.Generator().manual_seed(3)
        shapes = published_model(self.settings, self.family.heads).state_dict()
        self.state = {key: torch.randn(tensor.shape, generator=generator) for key, tensor in shapes.items()}
        self.tensors: dict[str, Tensor] = {}
        for key, tensor in self.state.items():
            theirs, rule = self.family.upstream.to_theirs(key)
            self.tensors[theirs] = TRANSFORMS[rule.transform][1](tensor)
        self.words, self.query, self.bias = (
            self.family.upstream.to_theirs(key)[0]
            for key in ("encoder.embeddings.word.weight", "encoder.layers.1.attention.query.weight", "mlm_head.bias")
        )
        self.copies = self.family.upstream.duplicates
        self.tie()

    def tie(self) -> None:
        self.tensors |= {copy: self.tensors[first] for copy, first in self.copies.items()}

    def as_torch(self, folder: Path) -> Path:
        torch.save(self.tensors, folder / "model.bin")
        return folder / "model.bin"

    def as_folder(self, folder: Path) -> Path:
        """As a Hugging Face folder."""
        folder = folder / "published"
        folder.mkdir()
        tensors = export_tensors(self.family, self.settings, self.state, "mlm").model
        save_file(tensors, folder / "model.safetensors")
        form = form_of(self.family, self.settings)
        config = config_json(self.family, self.settings, form.masked_lm_class)
        (folder / "config.json").write_text(json.dumps(config))
        write_tokenizer(build_tokenizer(self.family.tokenizer), folder, max_length=48)
        return folder


@pytest.fixture(params=KINDS)
def released(request: pytest.FixtureRequest) -> Released:
    return Released(request.param)


@pytest.fixture
def complaint(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Callable[..., str]:
    """The one line on standard error that a conversion ends in."""
    main = runpy.run_path(str(root / "launch" / "convert.py"))["main"]

    def line(family: str, source: Path, *words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["convert.py", "--family", family, str(source), "--out", "out", *words])
        monkeypatch.chdir(tmp_path)
        before = sorted(tmp_path.rglob("*"))
        assert main() == 2
        assert sorted(tmp_path.rglob("*")) == before
        (text,) = capsys.readouterr().err.splitlines()
        assert text.startswith("error: ")
        return text

    return line


def resize_vocabulary(r: Released, tokens: int) -> None:
    r.tensors[r.words], r.tensors[r.bias] = torch.randn(tokens, 24), torch.randn(tokens)
    r.tie()


def drop_layers(r: Released) -> None:
    r.tensors = {key: tensor for key, tensor in r.tensors.items() if ".0." not in key and ".1." not in key}


DAMAGE: dict[str, tuple[Callable[[Released], object], str]] = {  # what is done, what is said
    "more tokens": (lambda r: resize_vocabulary(r, r.settings.vocab_size + 1), "vocabulary of"),
    "fewer tokens": (lambda r: resize_vocabulary(r, r.settings.vocab_size - 1), "vocabulary of"),
    "a tensor is missing": (lambda r: r.tensors.pop(r.query), "tensors are missing: "),
    "no layer at all": (drop_layers, "not one layer"),
    "one tensor more": (lambda r: r.tensors.update(extra=torch.ones(2)), "does not have: extra"),
    "a part of a third layer": (
        lambda r: r.tensors.update({r.query.replace(".1.", ".2."): torch.ones(24, 24)}), "tensors are missing: ",
    ),
    "another shape": (lambda r: r.tensors.update({r.query: torch.ones(24, 25)}), "expected (24, 24)"),
    "a vector for a matrix": (lambda r: r.tensors.update({r.query: torch.ones(24)}), "expected (24, 24)"),
    "whole numbers": (lambda r: r.tensors.update({r.query: torch.ones(24, 24, dtype=torch.int8)}), "floating point"),
    "complex numbers": (lambda r: r.tensors.update({r.query: torch.ones(24, 24, dtype=torch.cfloat)}), "model.bin: "),
    "not a number": (lambda r: r.tensors[r.query].fill_(float("nan")), "NaN or infinite values"),
    "no tensor": (lambda r: r.tensors.update(note="text"), "is not a tensor of plain numbers"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_tensors_that_are_not_exactly_a_model_of_the_family(released, complaint, tmp_path, damage) -> None:
    change, said = DAMAGE[damage]
    change(released)
    text = complaint(released.family.name, released.as_torch(tmp_path), "model.num_attention_heads=3")
    assert said in text
    assert "model.bin" in text


@pytest.mark.parametrize(("name", "other"), permutations(KINDS, 2))
def test_the_checkpoint_of_another_family(complaint, tmp_path, name, other) -> None:
    text = complaint(other, Released(name).as_torch(tmp_path), "model.num_attention_heads=3")
    assert f"looks like {name}" in text or f"or {name}" in text
    assert f"not {other}" in text


def swap_last(tokens: list[str]) -> list[str]:
    return [*tokens[:-2], tokens[-1], tokens[-2]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (swap_last, "other ids than"),
        (lambda tokens: tokens[:-1], "vocabulary"),
        (lambda tokens: [*tokens, "more"], "vocabulary"),
    ],
)
def test_a_vocabulary_with_other_ids(released, complaint, tmp_path, change, said) -> None:
    folder = released.as_folder(tmp_path)
    if (folder / "vocab.txt").exists():
        tokens = change((folder / "vocab.txt").read_text().split())
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
    else:
        tree = json.loads((folder / "tokenizer.json").read_text())
        ids = tree["model"]["vocab"]
        tree["model"]["vocab"] = {token: i for i, token in enumerate(change(sorted(ids, key=ids.get)))}
        tree["added_tokens"] = []
        (folder / "tokenizer.json").write_text(json.dumps(tree))
    text = complaint(released.family.name, folder)
    assert said in text
    assert str(folder) in text


@pytest.mark.parametrize("form", ["torch", "safetensors", "npz", "pdparams"])
@pytest.mark.parametrize("kept", [0.5, 0.999])
def test_a_file_that_was_cut_off(released, complaint, tmp_path, form, kept) -> None:
    path = released.as_torch(tmp_path)
    if form != "torch":
        path = path.rename(tmp_path / f"model.{form}")
        arrays = {key: tensor.numpy() for key, tensor in released.tensors.items()}
        if form == "safetensors":
            save_file({key: tensor.clone() for key, tensor in released.tensors.items()}, path)
        elif form == "npz":
            np.savez(path, **arrays)
        else:
            path.write_bytes(pickle.dumps(arrays, 4))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    text = complaint(released.family.name, path, "model.num_attention_heads=3")
    assert path.name in text


class Hostile:
    def __reduce__(self) -> tuple:
        return os.system, ("touch executed",)


@pytest.mark.parametrize("form", ["torch", "npz", "pdparams", "pdparams alone"])
def test_a_file_with_a_program_inside(released, complaint, tmp_path, form) -> None:
    arrays: dict = {key: tensor.numpy() for key, tensor in released.tensors.items()}
    path = tmp_path / f"model.{form.split()[0]}"
    if form == "torch":
        torch.save(released.tensors | {released.query: Hostile()}, path)
    elif form == "npz":
        np.savez(tmp_path / "model.npz", **arrays | {released.query: np.array([Hostile()], dtype=object)})
    else:
        tree = Hostile() if form.endswith("alone") else arrays | {released.query: Hostile()}
        path.write_bytes(pickle.dumps(tree, 4))
    complaint(released.family.name, path, "model.num_attention_heads=3")
    assert not (tmp_path / "executed").exists()


def test_a_folder_without_weights_and_no_folder_at_all(released, complaint, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no checkpoint file" in complaint(released.family.name, tmp_path / "empty")
    assert "no such file or folder" in complaint(released.family.name, tmp_path / "nowhere")


def test_a_file_that_lost_its_last_layers(complaint, tmp_path) -> None:
    """Without a word of the user, fewer layers than published are taken for damage."""
    family = FAMILIES["ernie_rna"]
    state = published_model(replace(family.settings, num_hidden_layers=1)).state_dict()
    torch.save({family.upstream.to_theirs(key)[0]: tensor for key, tensor in state.items()}, tmp_path / "model.pt")
    text = complaint("ernie_rna", tmp_path / "model.pt")
    assert "1 layers, ernie_rna has 12; if that is meant, say model.num_hidden_layers=1" in text


@pytest.mark.parametrize("contacts", [96, 32])
def test_a_contact_head_tells_lost_layers_from_a_smaller_model(complaint, tmp_path, contacts) -> None:
    """UTR-LM of published width with 2 layers: its contact head has 16 weights for each layer that there was."""
    family = FAMILIES["utr_lm"]
    state = published_model(replace(family.settings, num_hidden_layers=2)).state_dict()
    tensors = {family.upstream.to_theirs(key)[0]: tensor for key, tensor in state.items()}
    head = {"contact_head.regression.weight": torch.ones(1, contacts), "contact_head.regression.bias": torch.ones(1)}
    torch.save(tensors | head, tmp_path / "model.pkl")
    if contacts == 96:
        assert "2 layers, utr_lm has 6" in complaint("utr_lm", tmp_path / "model.pkl")
    else:
        imported = import_published(read_source(tmp_path / "model.pkl"), family)
        assert (imported.settings.num_hidden_layers, imported.settings.num_attention_heads) == (2, 16)


def test_weights_of_fewer_tokens_are_not_read_as_if_they_were_the_familys(root, golden, tmp_path, monkeypatch) -> None:
    main = runpy.run_path(str(root / "launch" / "convert.py"))["main"]
    both = load_file(golden / "nt" / "weights.safetensors")
    save_file({key[3:]: value for key, value in both.items() if key.startswith("v2/")}, tmp_path / "v2.safetensors")
    words = ["--family", "nt_v2_50m", "--without-tokenizer", str(tmp_path / "v2.safetensors")]
    words += ["model.num_attention_heads=4", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["convert.py", *words])
    assert main() == 0
    with pytest.raises(PolymeraseError, match=r"out: weights of \d+ tokens, but kmer6_nonoverlapping.* has 4107;"):
        load_pretrained_state(tmp_path / "out")


def test_weights_without_their_tokenizer_are_converted_alone(root, golden, tmp_path, monkeypatch) -> None:
    """DNABERT-2's reference has 64 tokens of nobody; the folder gives its logits and claims no text."""
    main = runpy.run_path(str(root / "launch" / "convert.py"))["main"]
    source = golden / "dnabert2" / "weights.safetensors"
    words = ["--family", "dnabert2", str(source), "--without-tokenizer", "model.num_attention_heads=6"]
    monkeypatch.setattr(sys, "argv", ["convert.py", *words, "--out", str(tmp_path / "out")])
    assert main() == 0
    assert not list((tmp_path / "out").glob("tokenizer*"))
    assert "AutoTokenizer.from_pretrained" not in (tmp_path / "out" / "README.md").read_text()
