"""A tracking store that several runs open at once, or that somebody has locked, gets everything in the end."""

import logging
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pretrain.config.sections import Tracking
from pretrain.runs.tracking import Tracker, outbox
from tests.hang import HANG_S
from tests.training.ranks import ROOT, environment

RUNS = 3
ONE_RUN = """
import sys
from pathlib import Path
from pretrain.config.sections import Tracking
from pretrain.runs.tracking import Tracker, outbox

outbox._LAST_WAIT_S = outbox._SILENT_S = float(sys.argv[3])
tracker = Tracker(Tracking(uri=sys.argv[1] or None), Path(sys.argv[2]), None)
for step in range(1, 4):
    tracker.metrics({"loss": 1 / step}, step)
tracker.end("FINISHED")
"""


def tracked(uri: str) -> dict[str, list[tuple[int, float]]]:
    """Status and losses of the runs in a store, by name."""
    client = MlflowClient(tracking_uri=uri)
    (experiment,) = [found for found in client.search_experiments() if found.name == "polymerase"]
    return {
        f"{run.info.run_name} {run.info.status}": sorted(
            (metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "loss")
        )
        for run in client.search_runs([experiment.experiment_id])
    }


@pytest.mark.parametrize("named", [False, True], ids=["the default store", "a store by its address"])
def test_runs_that_start_together_on_one_new_store_are_all_tracked(tmp_path: Path, named: bool) -> None:
    """MLflow's migrations of a new store fail in all processes but one."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    folders = [tmp_path / f"run{number}" for number in range(RUNS)]
    processes = []
    for folder in folders:
        folder.mkdir()
        command = [sys.executable, "-c", ONE_RUN, uri if named else "", str(folder), str(HANG_S)]
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment()))
    assert [process.wait(HANG_S) for process in processes] == [0] * RUNS
    losses = [(step, 1 / step) for step in range(1, 4)]
    assert tracked(uri) == {f"{folder.name} FINISHED": losses for folder in folders}


def test_a_locked_store_delays_no_step_and_gets_everything_once_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Were the training to wait for the store, this test would hang: the lock goes after the last step."""
    monkeypatch.setattr(outbox, "_SILENT_S", HANG_S)  # on a busy machine some tries take long
    logger = logging.getLogger("polymerase")  # a run in this process may have taken it off the root, or turned it off
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    caplog.set_level(logging.INFO, "polymerase")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}?timeout=0.1"  # SQLite's own patience, 5 s
    first = Tracker(Tracking(uri=uri), tmp_path, None)
    first.metrics({"loss": 3.0}, 1)
    first.end("KILLED")
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        tracker = Tracker(Tracking(uri=uri), tmp_path, first.run_id)
        for step in (2, 3):
            tracker.metrics({"loss": 3.0 / step}, step)
        end = time.monotonic() + HANG_S / 10
        while "sent later" not in caplog.text:
            assert time.monotonic() < end, caplog.text
            time.sleep(0.02)
        somebody.execute("ROLLBACK")
    tracker.end("FINISHED")
    assert tracked(uri) == {f"{tmp_path.name} FINISHED": [(1, 3.0), (2, 1.5), (3, 1.0)]}
    assert "answers again; nothing is lost" in caplog.text
