"""What a person trips over: rights of files, the step that an export takes, names that are nearly two others."""

import json
import os
import stat
from pathlib import Path

import pytest
import torch

from data_prep.corpus.files import share
from pretrain.errors import unknown_name
from pretrain.families import FAMILIES
from pretrain.runs.checkpoint import Checkpoints, best_step


@pytest.fixture
def everybody_reads():
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_every_file_of_a_checkpoint_can_be_read_by_the_group(tmp_path, everybody_reads):
    Checkpoints(tmp_path).save(5, {"a": torch.zeros(2)}, {"b": torch.zeros(2)}, {"step": 5})
    files = [path for path in (tmp_path / "checkpoints/step-5").iterdir() if path.is_file()]
    assert len(files) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o644}


def test_sharing_gives_no_more_than_the_mask_of_the_process(tmp_path, everybody_reads):
    path = tmp_path / "a"
    path.write_text("")
    path.chmod(0o600)
    os.umask(0o027)
    share(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.umask(0o022) == 0o027  # as it was


def checkpoint(folder: Path, step: int, patience: dict) -> None:
    Checkpoints(folder).save(step, {"a": torch.zeros(1)}, {}, {"step": step, "patience": patience})


@pytest.mark.parametrize(
    ("patience", "found"),
    [
        ({"best": 1.0, "best_step": 4, "since": 2, "stopped": True}, 4),
        ({"best": 1.0, "best_step": 4, "since": 1, "stopped": False}, None),  # the run goes on, or reached its end
        ({"best": 1.0, "best_step": 4, "since": 2}, None),  # written before there was the key
        ({"best": None, "best_step": -1, "since": 0, "stopped": False}, None),
        ({"best": 1.0, "best_step": 3, "since": 2, "stopped": True}, None),  # whose checkpoint is not there
    ],
)
def test_an_export_takes_the_best_step_of_a_run_that_stopped_early_and_of_no_other(tmp_path, patience, found):
    checkpoint(tmp_path, 4, {})
    checkpoint(tmp_path, 8, patience)
    assert json.loads((tmp_path / "checkpoints/step-8/train_state.json").read_text())["patience"] == patience
    assert best_step(tmp_path) == found


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("rnaerni", "'rnaernie' or 'rnaernie2'?"),
        ("dnabert_7mer", "'dnabert_"),
        ("ernie-rna", "'ernie_rna'?"),
        ("mutbert2", "'mutbert'?"),
    ],
)
def test_a_name_that_is_nearly_two_others_gets_both(name, suggested):
    assert f"did you mean {suggested}" in str(unknown_name("family", name, FAMILIES))
