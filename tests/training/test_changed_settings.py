"""A run that goes on with other settings says which, in log, metrics and MLflow, and keeps the former config."""

import json

from mlflow import MlflowClient

from tests.training.corpora import tree, write_yaml
from tests.training.ranks import command_line


def test_other_settings_are_said_and_kept(tmp_path, corpora):
    run = tmp_path / "run"
    values = tree(run, corpora["plain"], train__steps=3, train__log_every=1, schedule__warmup_steps=1)
    values["tracking"] = {"sinks": ["mlflow"]}
    config = write_yaml(tmp_path / "run.yaml", values)
    assert command_line("--config", str(config), cwd=tmp_path).returncode == 0
    words = ["train.steps=5", "optimizer.weight_decay=0.5", "model.hidden_dropout_prob=0.3"]
    again = command_line("--config", str(config), *words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    (line,) = [line for line in again.stderr.splitlines() if "changed since the checkpoint" in line]
    for part in ("train.steps 3 -> 5", "optimizer.weight_decay 0.01 -> 0.5", "learning rate"):
        assert part in line
    events = [json.loads(row).get("event", "") for row in (run / "metrics.jsonl").read_text().splitlines()]
    assert sum("optimizer.weight_decay" in event for event in events) == 1
    assert "weight_decay: 0.01" in (run / "config.until-step-3.yaml").read_text()
    assert "weight_decay: 0.5" in (run / "config.yaml").read_text()
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (experiment,) = [found for found in client.search_experiments() if found.name == "polymerase"]
    (tracked,) = client.search_runs([experiment.experiment_id])
    assert tracked.data.tags["changed_at_step_3.optimizer.weight_decay"] == "0.01 -> 0.5"


def test_the_same_settings_are_said_to_be_nothing_new(tmp_path, corpora):
    run = tmp_path / "run"
    config = write_yaml(tmp_path / "run.yaml", tree(run, corpora["plain"], train__steps=2))
    for _ in range(2):
        done = command_line("--config", str(config), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "changed since" not in done.stderr
    assert not list(run.glob("config.until*"))
