"""MLflow shows a run: parameters, metrics, the corpus as a dataset, the exported model; in a real browser too."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from pretrain.runs.tracking import tracked_run
from tests.evaluation.support import in_process
from tests.hang import HANG_S
from tests.training import corpora as build
from tests.training.ranks import command_line, free_port


@pytest.fixture(scope="module")
def tracked(tmp_path_factory, corpora) -> Path:
    """A short run with MLflow, exported and reported."""
    folder = tmp_path_factory.mktemp("tracked")
    tree = build.tree(folder / "run", corpora["plain"], train__steps=4, train__eval_every=2, tracking__sinks=["mlflow"])
    done = command_line("--config", str(build.write_yaml(folder / "run.yaml", tree)), cwd=folder)
    assert done.returncode == 0, done.stderr
    for words in (["export.py", folder / "run", "--out", folder / "exported"], ["report.py", folder / "run"]):
        status, _, err = in_process(*words)
        assert status == 0, err
    return folder


@pytest.fixture(scope="module")
def found(tracked) -> tuple[Any, Any]:
    """Client and run."""
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=store(tracked))
    (experiment,) = [one for one in client.search_experiments() if one.name == "polymerase"]
    (run,) = client.search_runs([experiment.experiment_id])
    return client, run


def store(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def test_parameters_metrics_corpus_export_and_report_are_in_the_store(tracked, found, corpora):
    client, run = found
    assert run.info.status == "FINISHED"  # what came afterwards did not reopen it
    assert run.data.params["model.hidden_size"] == "32"
    assert run.data.metrics["validation/mlm/loss"] > 0
    (dataset,) = run.inputs.dataset_inputs
    manifest = json.loads((corpora["plain"] / "manifest.json").read_text())
    assert (dataset.dataset.name, dataset.dataset.digest) == (corpora["plain"].name, manifest["fingerprint"][:36])
    assert json.loads(dataset.dataset.profile)["train"]["sequences"] == manifest["splits"]["train"]["sequences"]
    assert run.data.tags["exported_model"] == str(tracked / "exported")
    kept = {
        item.path for folder in (None, "export", "report") for item in client.list_artifacts(run.info.run_id, folder)
    }
    assert {"config.yaml", "export/README.md", "report/report.html"} <= kept


def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no headless browser here (apt-get install chromium)")
    return found


def seen(address: str, profile: Path) -> str:
    """The page as a browser has built it."""
    command = [browser(), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--dump-dom"]
    command += ["--virtual-time-budget=20000", "--timeout=40000", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False).stdout


@pytest.mark.slow
def test_a_browser_shows_the_run(tracked, found, tmp_path):
    browser()
    _, run = found
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store(tracked), "--host", "127.0.0.1"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    server = subprocess.Popen(
        [*command, "--port", str(port), "--workers", "1"], cwd=tmp_path,
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": path},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2)
                break
            except OSError:
                assert server.poll() is None, "the MLflow server ended"
                time.sleep(0.5)
        page = seen(f"{address}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}", tmp_path / "profile")
    finally:
        os.killpg(server.pid, 15)
        server.wait(HANG_S)
    assert "validation/mlm/loss" in page
    assert "model.hidden_size" in page
    assert "plain-1" in page  # the dataset


def test_a_run_is_found_though_its_checkpoint_came_before_the_first_answer_of_the_store(tmp_path):
    assert tracked_run(tmp_path, None) is None
    (tmp_path / "mlflow_run_id.txt").write_text("noted\n")
    assert tracked_run(tmp_path, None) == "noted"
    assert tracked_run(tmp_path, "of the checkpoint") == "of the checkpoint"
