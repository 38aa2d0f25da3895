"""Weights of an encoder alone, as ``AutoModel`` saves them or somebody cut them, are read as what they are."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pretrain.exporting.verify import Verification
from pretrain.families import FAMILIES, TRANSFORMS, Family, KeyLayout
from pretrain.families.keys import put_together
from pretrain.importing import import_published, load_pretrained_state, read_source
from pretrain.importing.match import base_prefix
from pretrain.models import has_output_head, head_names
from tests.importing.test_published import tiny_settings, tiny_state, unseen

HEADLESS = [name for name, family in FAMILIES.items() if head_names(family.settings)]  # else the table is the head


def encoder_of(family: Family, layout: KeyLayout, prefix: bool) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Our tensors of a tiny encoder, and the same in a published layout with or without the base model's prefix."""
    ours = {name: tensor for name, tensor in tiny_state(family).items() if name.startswith("encoder.")}
    theirs = {}
    for name, tensor in ours.items():
        key, rule = layout.to_theirs(name)  # type: ignore[misc]
        theirs[key] = TRANSFORMS[rule.transform][1](tensor)
    base = "" if prefix else base_prefix(layout)
    return ours, {key.removeprefix(base): tensor.clone() for key, tensor in put_together(theirs).items()}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("layout", ["upstream", "hugging_face"])
@pytest.mark.parametrize("prefix", [True, False], ids=["cut", "AutoModel"])
def test_an_encoder_is_read_in_either_layout(tmp_path: Path, name: str, layout: str, prefix: bool) -> None:
    family = FAMILIES[name]
    keys = family.upstream if layout == "upstream" else family.hugging_face.keys
    ours, theirs = encoder_of(family, keys, prefix)
    torch.save(theirs, tmp_path / "model.bin")
    settings = tiny_settings(family)
    found = import_published(read_source(tmp_path / "model.bin"), family, unseen(settings), any_vocabulary=True)
    assert found.state.keys() == ours.keys()
    assert all(torch.equal(found.state[key], ours[key]) for key in ours)
    assert found.settings.hidden_size == settings.hidden_size
    assert has_output_head(found.settings, found.state) == (name not in HEADLESS)
    assert len(found.without) == len(head_names(family.settings))
    assert not set(found.without) & set(theirs)


@pytest.fixture
def convert(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command line, without the look at the result in a process of its own; its exit status."""
    main = runpy.run_path(str(root / "launch" / "convert.py"))["main"]

    def run(*words: object) -> int:
        monkeypatch.setattr(sys, "argv", ["convert.py", *map(str, words)])
        monkeypatch.setattr(sys.modules["pretrain.exporting.export_model"], "verify", lambda *_: looked_at)
        return main()

    looked_at = Verification(0.0, 1.0, 1.0)
    return run


@pytest.mark.parametrize("name", HEADLESS)
def test_convert_says_what_they_are_and_writes_the_base_class_of_transformers(name, tmp_path, convert, capsys) -> None:
    """Our own code travels with whole models only, whose base class AutoModel loads."""
    family = FAMILIES[name]
    _, theirs = encoder_of(family, family.upstream, True)
    torch.save(theirs, tmp_path / "model.bin")
    settings: dict[str, Any] = unseen(tiny_settings(family))
    words = ["--family", name, tmp_path / "model.bin", "--out", tmp_path / "out", "--without-tokenizer"]
    words += [f"model.{key}={value}" for key, value in settings.items()]
    before = sorted(tmp_path.iterdir())
    native = family.hugging_face.kind == "native"
    advice = "use --kind encoder, or the file with the whole model" if native else f"a folder of {name} holds the whole"
    first = family.upstream.to_theirs(f"mlm_head.{head_names(family.settings)[0]}")[0]  # type: ignore[index]
    what = f"model.bin: weights of an encoder without its output head (missing: {first}"
    assert convert(*words, "--kind", "mlm") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert what in line
    assert advice in line
    assert sorted(tmp_path.iterdir()) == before
    assert convert(*words) == (0 if native else 2)
    said = capsys.readouterr()
    assert what in (said.out if native else said.err)
    assert (tmp_path / "out").exists() == native
    if native:
        (architecture,) = json.loads((tmp_path / "out" / "config.json").read_text())["architectures"]
        assert architecture.endswith("Model")


def test_an_encoder_of_another_family_is_recognized(tmp_path, convert, capsys) -> None:
    _, theirs = encoder_of(FAMILIES["gpn_convnet"], FAMILIES["gpn_convnet"].upstream, False)
    torch.save(theirs, tmp_path / "model.bin")
    assert convert("--family", "gpn_brassicales", tmp_path / "model.bin", "--out", tmp_path / "out") == 2
    assert "this looks like gpn_convnet, not gpn_brassicales" in capsys.readouterr().err


def test_a_run_can_begin_with_an_encoder_of_one_hot_rows(tmp_path) -> None:
    """No table tells its vocabulary; the names of its tensors do."""
    ours, theirs = encoder_of(FAMILIES["gpn_convnet"], FAMILIES["gpn_convnet"].upstream, False)
    torch.save(theirs, tmp_path / "model.bin")
    family, _, state = load_pretrained_state(tmp_path / "model.bin")
    assert family.name == "gpn_convnet"
    assert state.keys() == ours.keys()
