"""Clipping, metrics, tracking and the run folder."""

import json
import math
import time

import pytest
import torch
from safetensors.torch import load_file

from pretrain.config import load_config
from pretrain.config.sections import Tracking
from pretrain.runs.tracking import Tracker, outbox
from pretrain.training.components import build_components
from tests.hang import HANG_S
from tests.training.corpora import config
from tests.training.ranks import free_port, losses, records, steps


@pytest.mark.parametrize("stage", [0, 2])
def test_the_gradient_is_clipped_to_its_global_norm(alone, corpora, stage):
    """One step of plain SGD moves the weights by learning rate x clipped norm."""
    run = alone[f"clipped {stage}"]
    before = build_components(config(run, corpora["plain"])).model().state_dict()
    after = load_file(run / "checkpoints" / "step-1" / "weights.safetensors")
    moved = math.sqrt(sum(float((after[name] - before[name]).double().square().sum()) for name in after))
    assert moved == pytest.approx(0.5 * 0.01, rel=1e-3)
    assert steps(run)[0]["gradient_norm"] > 0.1  # told as it was before clipping


def test_metrics_hold_what_a_person_wants_to_know(alone):
    first, *_, last = steps(alone["zero 1"])
    assert [record["step"] for record in steps(alone["zero 1"])] == list(range(1, 21))
    for key in ("loss", "mlm/loss", "mlm/accuracy", "learning_rate", "gradient_norm", "tokens_per_second",
                "data_wait_fraction", "compute_seconds", "evaluation_seconds", "saving_seconds", "cpu_cores",
                "host_memory_bytes", "batch_digest"):  # fmt: skip
        assert key in first
    assert first["loss"] == first["mlm/loss"]
    assert 0 <= first["data_wait_fraction"] <= 1
    assert (first["learning_rate"], last["learning_rate"]) == (0.0, pytest.approx(1e-3 / 16))
    held_out = [record for record in records(alone["zero 1"]) if "validation/mlm/loss" in record]
    assert [record["step"] for record in held_out] == [20]


def test_a_corpus_of_one_sequence_with_nothing_held_out_trains_and_says_so(alone):
    assert [record["step"] for record in steps(alone["single"])] == [1, 2, 3]
    assert not [record for record in records(alone["single"]) if any("validation" in key for key in record)]
    assert "no held-out data" in alone.log


def test_the_saved_config_makes_the_same_run(alone, corpora):
    run = alone["zero 1"]
    saved = load_config(str(run / "config.yaml"))
    assert (
        saved
        == build_components(config(run, corpora["plain"], engine__zero_stage=1, batch__micro_batches_per_step=4)).config
    )
    assert (run / "DONE").read_text() == "20\n"


def test_the_default_mlflow_store_holds_metrics_and_settings(alone):
    from mlflow import MlflowClient

    folder = alone["tracked"]
    client = MlflowClient(tracking_uri=f"sqlite:///{folder.parent / 'mlflow.db'}")
    (experiment,) = [found for found in client.search_experiments() if found.name == "polymerase"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["batch.tokens"] == "200"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == list(enumerate(losses(folder), start=1))
    for counter in ("dropped_updates", "nonfinite_losses", "loss_spikes", "roll_backs"):
        assert len(client.get_metric_history(run.info.run_id, counter)) == 4, counter
    held_out = client.get_metric_history(run.info.run_id, "validation/mlm/loss")
    assert [metric.step for metric in held_out] == [2, 4]
    assert [artifact.path for artifact in client.list_artifacts(run.info.run_id)] == ["config.yaml"]


def test_a_broken_tracking_store_is_said_once_and_stops_nothing(alone):
    assert len(losses(alone["broken tracking"])) == 4
    assert alone.log.count("tracking: MLflow is not available") == 1
    assert alone.log.count("entries did not reach MLflow") == 1


def test_a_server_that_does_not_answer_holds_nothing_up(tmp_path):
    began = time.monotonic()
    tracker = Tracker(Tracking(uri=f"http://127.0.0.1:{free_port()}"), tmp_path, None)
    tracker.metrics({"loss": 1.0}, 1)
    tracker.end("FINISHED")
    assert time.monotonic() - began < HANG_S


def test_what_a_store_missed_is_filled_in_by_the_next_process(tmp_path):
    """The store is a folder in the way at first; then it is one that works."""
    from mlflow import MlflowClient

    store = tmp_path / "store.db"
    store.mkdir()
    settings = Tracking(uri=f"sqlite:///{store}")
    lines = [{"step": step, "loss": 2.0 - step / 10, "batch_digest": "1"} for step in (1, 2, 3)]
    first = Tracker(settings, tmp_path, None)
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for line in lines:
        first.metrics({"loss": line["loss"]}, line["step"])
    first.end("KILLED")
    assert first.run_id is None
    store.rmdir()
    second = Tracker(settings, tmp_path, None)
    second.metrics({"loss": 1.6}, 4)
    second.end("FINISHED")
    history = MlflowClient(tracking_uri=settings.uri).get_metric_history(second.run_id, "loss")
    assert sorted((one.step, one.value) for one in history) == [(1, 1.9), (2, 1.8), (3, 1.7), (4, 1.6)]


def test_a_store_that_answers_late_gets_everything_of_the_same_process(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setattr(outbox, "_SILENT_S", HANG_S)  # on a busy machine three tries take long
    store = tmp_path / "store.db"
    store.mkdir()
    tracker = Tracker(Tracking(uri=f"sqlite:///{store}"), tmp_path, None)
    tracker.parameters({"train": {"steps": 9}})
    tracker.metrics({"loss": 1.9}, 1)
    tracker.artifact(tmp_path / "is not there")  # must not hold up what comes after it
    tracker.metrics({"loss": 1.8}, 2)
    time.sleep(0.5)
    store.rmdir()
    tracker.end("FINISHED")
    run = MlflowClient(tracking_uri=f"sqlite:///{store}").get_run(tracker.run_id)
    assert (run.info.status, run.data.params["train.steps"], run.data.metrics["loss"]) == ("FINISHED", "9", 1.8)


def test_a_folder_with_characters_of_addresses_in_its_name_has_a_store_of_its_own(tmp_path):
    folder = tmp_path / "what? 100 % #1"
    (folder / "run").mkdir(parents=True)
    tracker = Tracker(Tracking(), folder / "run", None)
    tracker.metrics({"loss": 1.0}, 1)
    tracker.end("FINISHED")
    assert (folder / "mlflow.db").stat().st_size > 0
    assert {path.name for path in tmp_path.iterdir()} == {folder.name}


def test_weights_are_float32_and_complete(alone, corpora):
    run = alone["zero 2"]
    weights = load_file(run / "checkpoints" / "step-20" / "weights.safetensors")
    model = build_components(config(run, corpora["plain"])).model()
    assert {value.dtype for value in weights.values()} == {torch.float32}
    model.load_state_dict(weights)
