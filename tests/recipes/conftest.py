"""Corpora small enough for every test, and what the demo recipes make of them."""

import json
from pathlib import Path

import pytest

from data_prep.__main__ import main as data_prep
from pretrain.config import load_config
from tests.recipes.test_configs import DEMO
from tests.training.ranks import Job, finish, start


def make(*words: object) -> None:
    """One stage of data preparation."""
    assert data_prep([str(word) for word in words]) == 0


@pytest.fixture(scope="session")
def demo_corpora(tmp_path_factory) -> dict[str, Path]:
    """The corpora that demo recipes name, smaller."""
    folder = tmp_path_factory.mktemp("demo-corpora")
    made = {name: folder / name for name in ("demo", "demo-folded", "demo-variants")}
    make("sample", "--sequences", 120, "--out", made["demo"])
    make("fold", made["demo"], "--out", made["demo-folded"], "--executor", "local:1", "--cache", "none")
    made["bpe"] = folder / "demo-bpe.json"
    make("bpe", made["demo"], "--vocab-size", 64, "--out", made["bpe"])
    make("sample", "--kind", "allele-frequencies", "--bases", 20_000, "--out", made["demo-variants"])
    return made


def _of_one_step(name: str) -> str:
    return json.dumps([phase.model_dump() | {"steps": 1} for phase in load_config(name).train.phases])


@pytest.fixture(scope="session")
def demo_runs(tmp_path_factory, demo_corpora) -> dict[str, Path]:
    """Run folders of a few steps of every demo recipe, all by one process."""
    folder = tmp_path_factory.mktemp("demo-runs")
    runs = {name: folder / name.replace("/", "-") for name in DEMO}
    jobs = []
    for name, run in runs.items():
        words = [f"run.dir={run}", "train.steps=3", "train.log_every=1", "train.eval_sequences=8",
                 "tracking.sinks=[]"]  # fmt: skip
        if name == "demo/dnabert2":
            words.append(f"model.tokenizer_file={demo_corpora['bpe']}")
        if name == "demo/phases":  # one step each
            words.append(f"train.phases={_of_one_step(f'{name}.yaml')}")
        tree = load_config(f"{name}.yaml", words).model_dump(mode="json")
        for corpus in (tree["corpus"], *tree["corpus"]["extra"]):
            corpus["path"] = str(demo_corpora[Path(corpus["path"]).name])
        jobs.append(Job(tree))
    finish(start(1, jobs, folder), folder)
    return runs
