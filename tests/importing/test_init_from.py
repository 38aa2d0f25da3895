"""``model.init_from``: what a folder states comes over whole; what does not fit is refused before anything starts."""

import json
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pretrain.config import load_config
from pretrain.errors import PolymeraseError
from pretrain.evaluation.model import load_model
from pretrain.importing.source import read_source
from pretrain.training.components import build_components
from pretrain.training.initial_weights import settings_of
from tests.hang import HANG_S
from tests.importing.test_convert_command import KINDS, SIZES, Released
from tests.training import corpora as build
from tests.training.ranks import ROOT, environment


def folder_of(name: str, path: Path, **config: object) -> Path:
    """A tiny Hugging Face folder of a family; ``config`` lies over its config.json."""
    path.mkdir()
    folder = Released(name).as_folder(path)
    values = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def config_of(name: str, folder: Path, corpus: Path | str = "nowhere", **sections: object):
    tree = build.tree(folder.parent / "run", corpus, **sections)
    tree["model"] = {"family": name, "init_from": str(folder)}
    return load_config(str(build.write_yaml(folder.parent / "run.yaml", tree)))


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("rnaernie", {"hidden_act": "gelu", "layer_norm_eps": 1e-5}),
        ("mutbert", {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 500.0}),
        ("utrbert_3mer", {"layer_norm_eps": 1e-6, "attention_probs_dropout_prob": 0.25}),
    ],
)
def test_settings_besides_sizes_come_from_the_folder(tmp_path, name, stated) -> None:
    """Weights trained with another epsilon, activation or rotary scale are another model with the family's."""
    folder = folder_of(name, tmp_path / "start", **stated)
    settings, state = settings_of(config_of(name, folder))[1:]
    for key, value in stated.items():
        found = getattr(settings, {"hidden_act": "mlp"}.get(key, key))
        assert (vars(found) if key == "rope_scaling" else found) == value
    assert {key: getattr(settings, key) for key in SIZES} == SIZES
    assert state is not None


@pytest.mark.parametrize(("name", "other"), permutations(KINDS, 2))
def test_a_folder_of_another_family_is_refused(tmp_path, name, other) -> None:
    folder = folder_of(other, tmp_path / "start")
    with pytest.raises(PolymeraseError, match=f"is a {other} model, model.family is {name}") as error:
        settings_of(config_of(name, folder))[1:]
    assert "\n" not in str(error.value)


def test_an_encoder_without_output_head_begins_with_a_new_one(tmp_path, corpora) -> None:
    """As UTRBERT's published folders are: no ``cls.``, names without ``bert.``."""
    folder = folder_of("utrbert_3mer", tmp_path / "start")
    whole = load_file(folder / "model.safetensors")
    bare = {key.removeprefix("bert."): tensor for key, tensor in whole.items() if key.startswith("bert.")}
    save_file(bare, folder / "model.safetensors")
    made = {"masking": {"strategy": "kmer"}, "corpus__max_tokens": 40}
    components = build_components(config_of("utrbert_3mer", folder, corpora["plain"], **made))
    assert components.new_heads == (f"{folder} has no output head: drawn anew, run.seed decides",)
    state = components.model().state_dict()
    assert torch.equal(state["encoder.embeddings.word.weight"], bare["embeddings.word_embeddings.weight"])
    assert state["mlm_head.dense.weight"].std() < 0.1  # drawn anew; the released ones have deviation 1


def test_a_head_for_other_classes_is_refused(tmp_path, corpora) -> None:
    folder = folder_of("ernie_rna", tmp_path / "start")
    heads = {"heads.rna_type.linear.weight": torch.ones(28, 24), "heads.rna_type.linear.bias": torch.ones(28)}
    save_file(heads, folder / "objective_heads.safetensors")
    asked = {"objectives": {"mlm": {}, "rna_type": {}}, "corpus__max_tokens": 40}
    config = config_of("ernie_rna", folder, corpora["labeled"], **asked)
    with pytest.raises(PolymeraseError, match=r"heads\.rna_type\.linear.* is \(28.* this run's corpus needs"):
        build_components(config)
    (folder / "objective_heads.safetensors").unlink()
    components = build_components(config)
    assert components.new_heads == (f"{folder} has no head of rna_type: drawn anew, run.seed decides",)


def test_a_run_and_its_dry_run_say_which_heads_are_new(tmp_path, corpora) -> None:
    folder = folder_of("ernie_rna", tmp_path / "start")
    asked = {"objectives": {"mlm": {}, "rna_type": {}}, "corpus__max_tokens": 40, "train__steps": 2}
    config_of("ernie_rna", folder, corpora["labeled"], **asked)
    said = f"note: {folder} has no head of rna_type: drawn anew"
    for options, wanted in (
        (("--dry-run",), said.replace("note: ", "note                ")), ((), said), (("train.steps=3",), None)
    ):  # fmt: skip
        command = [sys.executable, "launch/pretrain.py", "--config", str(folder.parent / "run.yaml"), *options]
        done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=HANG_S)
        assert done.returncode == 0, done.stderr[-2000:]
        shown = done.stdout + done.stderr
        assert wanted in shown if wanted else "drawn anew" not in shown
    events = [json.loads(line) for line in (folder.parent / "run" / "metrics.jsonl").read_text().splitlines()]
    assert any(said in str(event) for event in events)


def test_a_run_is_no_source_and_a_name_of_a_hub_is_fetched_first(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine" / "checkpoints" / "step-4").mkdir(parents=True)
    for place in ("runs/mine", "runs/mine/checkpoints", "runs/mine/checkpoints/step-4"):
        with pytest.raises(PolymeraseError, match=r"this is a run, .* \(python launch/export.py runs/mine --out DIR\)"):
            read_source(Path(place))
    with pytest.raises(PolymeraseError, match=r"name on a hub: python launch/fetch_model\.py lab/rna-fm --out DIR$"):
        read_source(Path("lab/rna-fm"))
    for here in ("runs/other", "gone", "./lab/rna-fm/x"):  # a folder that is not there
        with pytest.raises(PolymeraseError, match=r"no such file or folder$"):
            read_source(Path(here))
    with pytest.raises(PolymeraseError, match=r"python launch/fetch_model\.py lab/rna-fm --out DIR"):
        load_model("lab/rna-fm")
