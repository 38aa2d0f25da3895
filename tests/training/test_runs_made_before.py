"""Checkpoints and exports made before there were several architectures still load, resume and say the same."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from pretrain.evaluation.held_out import score
from pretrain.evaluation.model import TrainedModel, load_model
from pretrain.evaluation.passes import pack
from tests.training.ranks import Job, digests, finish, losses, start

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "runs"
RECORDED = json.loads((GOLDEN / "recorded.json").read_text())
ALL = pytest.mark.parametrize("name", RECORDED)


def logits(model: TrainedModel, name: str) -> torch.Tensor:
    """Logits (N, V) of the probe sequences."""
    ids = RECORDED[name]["ids"]
    batch = pack(model, np.concatenate(ids), [len(one) for one in ids], np.array(RECORDED[name]["hidden"]))
    with torch.no_grad():
        return model.network(batch)


@ALL
@pytest.mark.parametrize("kind", ["run", "export"])
def test_a_checkpoint_and_an_export_give_the_recorded_logits(name, kind):
    expected = load_file(GOLDEN / name / "probe.safetensors")["logits"]
    torch.testing.assert_close(logits(load_model(str(GOLDEN / name / kind)), name), expected, atol=2e-6, rtol=1e-6)


@ALL
def test_held_out_losses_are_the_recorded_ones(name):
    corpus = GOLDEN / "corpora" / RECORDED[name]["corpus"]
    found = score(str(GOLDEN / name / "run"), str(corpus), [], 12, details=False)["objectives"]
    for objective, figures in RECORDED[name]["held_out"].items():
        for key, value in figures.items():
            assert found[objective][key] == pytest.approx(value, rel=1e-6), (objective, key)


@pytest.fixture(scope="module")
def resumed(tmp_path_factory) -> Path:
    """The four runs, gone on with from step 3 to 6."""
    folder, jobs = tmp_path_factory.mktemp("resumed"), []
    for name, recorded in RECORDED.items():
        shutil.copytree(GOLDEN / name / "run", folder / name)
        config = yaml.safe_load((folder / name / "config.yaml").read_text())
        config["run"]["dir"] = str(folder / name)
        config["corpus"]["path"] = str(GOLDEN / "corpora" / recorded["corpus"])
        config["train"]["steps"] = 6
        jobs.append(Job(config))
    finish(start(1, jobs, folder), folder)
    return folder


@ALL
def test_a_run_goes_on_as_it_would_have_gone_on(resumed, name):
    failed = resumed / name / "failed.txt"
    assert not failed.exists(), failed.read_text()
    expected = RECORDED[name]["resumed"]
    assert digests(resumed / name)[3:] == [step["batch_digest"] for step in expected]
    assert losses(resumed / name)[3:] == pytest.approx([step["loss"] for step in expected], rel=1e-5)


@ALL
def test_of_an_older_run_only_what_was_changed_is_said_to_have_changed(resumed, name):
    rows = [json.loads(line) for line in (resumed / name / "metrics.jsonl").read_text().splitlines()]
    (said,) = [row["event"] for row in rows if "changed since the checkpoint" in row.get("event", "")]
    keys = {part.split()[0] for part in said.partition(": ")[2].split(", ")} - {"the"}  # the next learning rate
    assert keys == {"corpus.path", "train.steps"}
