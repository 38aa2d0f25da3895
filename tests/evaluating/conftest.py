"""A short run on synthetic sequences, for the commands."""

from pathlib import Path

import pytest

from tests.training import corpora as build
from tests.training.ranks import command_line


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, corpora: dict[str, Path]) -> Path:
    """Six steps, evaluated every third."""
    folder = tmp_path_factory.mktemp("tiny-run")
    changes = {"train__steps": 6, "train__eval_every": 3, "train__log_every": 1}
    config = build.write_yaml(folder / "run.yaml", build.tree(folder / "run", corpora["labelled"], **changes))
    done = command_line("--config", str(config), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"
