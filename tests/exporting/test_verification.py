"""An export is whole, verified and described, or it is not there."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from pretrain.errors import PolymeraseError
from pretrain.exporting import CardFacts, export_model
from pretrain.exporting.new_folder import new_folder
from pretrain.exporting.tensors import ExportTensors, export_tensors
from pretrain.exporting.verify import verify
from pretrain.importing import load_pretrained_state
from pretrain.tokenizers import build_tokenizer


def test_a_folder_that_lacks_a_tensor_fails_verification(rnaernie: Path, tmp_path: Path) -> None:
    family, settings, state = load_pretrained_state(rnaernie)
    copytree(rnaernie, tmp_path / "m")
    weights = load_file(tmp_path / "m" / "model.safetensors")
    del weights["bert.encoder.layer.1.output.dense.bias"]
    save_file(weights, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PolymeraseError, match=r"missing keys .*bert\.encoder\.layer\.1\.output\.dense\.bias"):
        verify(tmp_path / "m", family, settings, state, build_tokenizer("rnaernie"), "mlm")


def test_an_export_that_is_not_the_model_fails_and_leaves_nothing(
    ernie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, settings, state = load_pretrained_state(ernie)

    def spoilt(*args: object) -> ExportTensors:
        tensors = export_tensors(*args)  # type: ignore[arg-type]
        tensors.model["mlm_head.decoder.bias"] += 1e-3
        return tensors

    monkeypatch.setattr(sys.modules["pretrain.exporting.export_model"], "export_tensors", spoilt)
    with pytest.raises(PolymeraseError, match=r"differs from the model's by 1\.0\de-03 .*; nothing was written"):
        export_model(state, family, settings, tmp_path / "out", CardFacts("x"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with new_folder(tmp_path / "empty") as partial:
        (partial / "a").write_text("x")
        assert not (tmp_path / "empty" / "a").exists()
    assert (tmp_path / "empty" / "a").read_text() == "x"
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "stopped") as partial:
        (partial / "a").write_text(f"{1 / 0}")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    with pytest.raises(PolymeraseError, match="exists and is not empty"), new_folder(tmp_path / "empty"):
        pass
    assert (tmp_path / "empty" / "a").read_text() == "x"


def test_what_a_killed_process_left_is_removed_and_what_another_one_writes_is_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = (
        "import os, pathlib, sys; from pretrain.exporting.new_folder import new_folder\n"
        "with new_folder(pathlib.Path(sys.argv[1])) as partial:\n"
        "    (partial / 'nested').mkdir(); (partial / 'nested' / 'half').write_text('x'); print('ready', flush=True)\n"
        "    sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        with pytest.raises(PolymeraseError, match="another process is writing this folder"), new_folder(out):
            pass
        assert (tmp_path / ".out.partial" / "nested" / "half").exists()
        writer.kill()
    assert (tmp_path / ".out.partial" / "nested" / "half").exists()
    with new_folder(out) as partial:
        assert list(partial.iterdir()) == []
        (partial / "a").write_text("x")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]


def test_a_link_in_place_of_the_hidden_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept").write_text("x")
    (tmp_path / ".out.partial").symlink_to(tmp_path / "mine")
    with pytest.raises(PolymeraseError, match=r"out: cannot be made: \.out\.partial: "), new_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "mine" / "kept").exists()


def test_the_card_has_the_hubs_front_matter_and_the_measured_difference(ernie: Path) -> None:
    card = (ernie / "README.md").read_text()
    _, front, body = card.split("---\n", 2)
    matter = yaml.safe_load(front)
    assert matter["license"] == "mit"
    assert matter["library_name"] == "transformers"
    assert "ernie_rna" in matter["tags"]
    assert "differs by at most" in body
    assert "optimizer_history[-1].num_updates | 4321" in body
    assert "upstream_unused.safetensors" in body


def test_the_config_says_how_to_load_the_folder(ernie: Path, utr_lm: Path) -> None:
    config = json.loads((ernie / "config.json").read_text())
    assert config["architectures"] == ["PolymeraseForMaskedLM"]
    assert config["auto_map"]["AutoModelForMaskedLM"] == "modeling_polymerase.PolymeraseForMaskedLM"
    assert config["max_position_embeddings"] == 64
    assert json.loads((utr_lm / "config.json").read_text())["layer_norm_eps"] == 1e-5


def test_cards_say_what_their_release_does_differently(utr_lm: Path, utrbert: Path, mutbert: Path) -> None:
    assert "one column to the left" in (utr_lm / "README.md").read_text()
    assert "adds its output bias twice" in (utrbert / "README.md").read_text()
    assert 'The model type of the release is "bert"' in (mutbert / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--family", "ernie_rn", "x.pt"], "did you mean 'ernie_rna'"),
        (["--family", "ernie_rna", "no_such_file.pt"], "no_such_file.pt: no such file"),
        (["--family", "ernie_rna", "x.pt", "corpus.path=a"], "corpus: only model.key=value"),
    ],
)
def test_convert_refuses_in_one_line_and_writes_nothing(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    torch.save({"w": torch.ones(1)}, tmp_path / "x.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # the script replaces the first entry
    monkeypatch.setattr(sys, "argv", ["convert.py", *words, "--out", "out"])
    status = runpy.run_path(str(root / "launch" / "convert.py"))["main"]()
    error = capsys.readouterr().err
    assert status == 2
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]
