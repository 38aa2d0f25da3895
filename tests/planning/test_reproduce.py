"""Reproducing a family: every step is a command that exists, its state is what lies in the folder, paths agree."""

import re
import shlex
from pathlib import Path

import pytest

from data_prep.fetch.recipes import load_recipe
from data_prep.stages import STAGES
from pretrain.cli.reproduce import corpus_recipe, main, recipe_tree, steps_of
from pretrain.config.yaml_file import CONFIG_FOLDER
from pretrain.families import FAMILIES
from pretrain.families.weights import UNPUBLISHED, WEIGHTS, where

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def clone(tmp_path, monkeypatch) -> Path:
    """A folder without anything done."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["launch/reproduce.py"])
    return tmp_path


@pytest.mark.parametrize("name", FAMILIES)
def test_every_step_is_a_command_of_the_project(name):
    for step in steps_of(name):
        words = step.command
        if words[:3] == ["python", "-m", "data_prep"]:
            assert words[3] in STAGES
        elif words:
            assert any((ROOT / word).is_file() for word in words if word.startswith("launch/")), words
        if step.what.startswith("  stage: "):
            assert shlex.split(step.what.removeprefix("  stage: "))[0] in STAGES


@pytest.mark.parametrize("name", FAMILIES)
def test_the_corpus_of_a_recipe_is_what_its_corpus_recipe_makes(name):
    corpus = recipe_tree(name).get("corpus", {}).get("path")
    if corpus is None:
        assert steps_of(name)[0].command == []
        return
    path = corpus_recipe(corpus)
    assert path is not None, corpus
    outs = [shlex.split(step.run) for step in load_recipe(path)["steps"]]
    assert any(words[words.index("--out") + 1] == corpus for words in outs if "--out" in words)


def test_the_train_step_keeps_the_published_step_on_any_number_of_gpus():
    commands = {
        ranks: next(s for s in steps_of("ernie_rna", ranks) if s.what == "pretrain").command for ranks in (1, 24)
    }
    assert commands[1][:2] == ["python", "launch/pretrain.py"]
    assert commands[24][:2] == ["sbatch", "--nodes=3"]
    assert all("batch.micro_batches_per_step=96" in words for words in commands.values())


def test_states_are_those_of_the_folder(clone, capsys):
    assert main(["ernie_rna"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^1\. corpus: missing$", said, re.M)
    assert said.splitlines()[-1].startswith("next: python -m data_prep build ")
    (clone / "raw/rnacentral-22").mkdir(parents=True)
    assert steps_of("ernie_rna")[0].state == "1 of 2 stages done"
    (clone / "corpora/ernie_rna").mkdir(parents=True)
    (clone / "corpora/ernie_rna/manifest.json").write_text("{}")
    (clone / "runs/ernie/checkpoints/step-40").mkdir(parents=True)
    assert main(["ernie_rna"]) == 0
    said = capsys.readouterr().out
    assert "corpus: done" in said
    assert "pretrain: stopped at step 40; the same command continues" in said
    (clone / "runs/ernie/DONE").write_text("40\n")
    assert main(["ernie_rna"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "next: python launch/export.py runs/ernie --out exports/ernie"


def test_running_stops_where_hands_are_needed(capsys):
    assert main(["helm_mlm", "--run"]) == 2
    said = capsys.readouterr().err
    assert (
        "files of your own: you have to do this step: raw/helm/coding.fa.gz does not exist, and nothing fetches it"
        in said
    )
    assert "not public" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("name", ["helm_clm", "gpn_promoter", "evo1_131k"])
def test_a_corpus_that_is_not_public_asks_for_files_before_anything_else(name, clone):
    first, build, *_ = steps_of(name)
    assert first.what == "files of your own"
    assert build.command[:4] == ["python", "-m", "data_prep", "build"]
    for file in load_recipe(corpus_recipe(recipe_tree(name)["corpus"]["path"]))["yours"]:
        (clone / file.replace("*", "any")).parent.mkdir(parents=True, exist_ok=True)
        (clone / file.replace("*", "any")).touch()
    assert steps_of(name)[0].what == "corpus"


def test_the_page_on_models_has_every_family_with_its_files(capsys):
    assert main(["--list"]) == 0
    rows = [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[0] for row in rows] == list(FAMILIES)
    page = (ROOT / "docs/models.md").read_text()
    for name, config, recipe, ranks in rows:
        assert f"| `{name}` | `{config}` | {recipe if recipe == 'none here' else f'`{recipe}`'} | {ranks} |" in page
        assert (CONFIG_FOLDER / config).is_file()


def test_a_family_that_is_nearly_two_gets_both_suggestions(capsys):
    assert main(["rnaerni"]) == 2
    said = capsys.readouterr().err
    assert "'rnaernie' or 'rnaernie2'" in said


def test_addresses_of_weights_are_those_of_the_page_and_of_the_step():
    page = (ROOT / "docs/models.md").read_text()
    assert set(WEIGHTS) | set(UNPUBLISHED) == set(FAMILIES)
    assert not set(WEIGHTS) & set(UNPUBLISHED)
    for name, found in WEIGHTS.items():
        cells = f"| `{name}` | {found.place()} | {found.sha256 or 'none published'} |"
        assert cells in page, cells
        (step,) = [step for step in steps_of(name) if step.what == "published weights"]
        assert where(name) in step.note
        assert bool(found.repository) == ("hf download" in step.note)
    for name, why in UNPUBLISHED.items():
        assert f"| `{name}` | none published: {why} | – |" in page
        (step,) = [step for step in steps_of(name) if step.what == "published weights"]
        assert step.note == f"WEIGHTS: none published: {why}"
