"""A run stands in every sink that ``tracking.sinks`` names, with the numbers that its folder holds."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pretrain.config.sections import Tracking
from pretrain.errors import PolymeraseError
from pretrain.runs import tracking
from pretrain.runs.tracking import EXPORTED, Tracker, check_sinks
from pretrain.training.metrics import MetricsFile
from tests.hang import HANG_S
from tests.training.ranks import ROOT, environment

LINES = [(step, {"loss": 2.0 - step / 8, "mlm/hidden/loss": 1.5}) for step in (1, 2, 3)]  # exact in float32


def walk(settings: Tracking, run: Path, lines=LINES, **words) -> Tracker:
    """What a training sends, and writes to its folder."""
    run.mkdir(exist_ok=True)
    MetricsFile(run).cut_after(words.get("first_step", 0))  # as a training that goes on does
    tracker = Tracker(settings, run, None, **words)
    tracker.parameters({"train": {"steps": 3}})
    tracker.tag("family", "ernie_rna")
    tracker.corpus(run / "corpus", "0123abcd" * 8, {"train": {"sequences": 5}})
    with (run / "metrics.jsonl").open("a") as file:
        for step, values in lines:
            file.write(json.dumps({"step": step, **values}) + "\n")
            tracker.metrics(values, step)
    (run / "config.yaml").write_text("train: {steps: 3}\n")
    tracker.artifact(run / "config.yaml")
    tracker.end("FINISHED")
    return tracker


def records_of(log: bytes) -> Iterator[bytes]:
    """Records of a file of W&B: 7 bytes of its own, then LevelDB's log (blocks; checksum, length, kind before each)."""
    place, whole = 7, b""
    while place + 7 <= len(log):
        left = 32768 - place % 32768
        if left < 7:  # too short for a header: the rest of the block is empty
            place += left
            continue
        length, kind = struct.unpack_from("<HB", log, place + 4)
        whole += log[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


@pytest.mark.parametrize("name", list(tracking.SINKS))
def test_a_sink_whose_package_is_missing_is_one_line_with_what_to_install(monkeypatch, name):
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    with pytest.raises(PolymeraseError) as raised:
        check_sinks(Tracking(sinks=[name]))
    assert str(raised.value).startswith(f"tracking.sinks: {name} needs the package {name}, which is not installed; pip")


def test_a_variable_that_names_another_experiment_is_said_not_to_be_read(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    monkeypatch.setattr(tracking, "Outbox", lambda sink: SimpleNamespace(put=lambda job: None))
    for settings, said in (
        (Tracking(sinks=["mlflow"]), ["tracking: MLFLOW_EXPERIMENT_NAME=theirs is not read; the run is shown under "
                                      "tracking.experiment=polymerase"]),
        (Tracking(sinks=["mlflow"], experiment="theirs"), []),
        (Tracking(sinks=["tensorboard"]), []),
    ):  # fmt: skip
        caplog.clear()
        tracking.Tracker(settings, tmp_path, None)
        assert caplog.messages == said


@pytest.mark.parametrize("name", list(tracking.SINKS))
def test_a_place_that_was_not_reached_does_not_answer_so_that_nothing_is_dropped(tmp_path, name):
    sink = tracking.SINKS[name](Tracking(), tmp_path, None, True, 0)
    assert not sink.answers()


def test_a_run_with_a_missing_sink_ends_before_it_starts(tmp_path, corpora):
    from tests.training.corpora import tree, write_yaml

    config = write_yaml(tmp_path / "run.yaml", tree(tmp_path / "run", corpora["plain"], tracking__sinks=["wandb"]))
    hidden = "import sys; sys.modules['wandb'] = None; sys.path.insert(0, sys.argv.pop(1))\n"
    hidden += "from pretrain.cli.pretrain import main; raise SystemExit(main())"
    for more in ([], ["--dry-run"]):
        done = subprocess.run(
            [sys.executable, "-c", hidden, str(ROOT), "--config", str(config), *more],
            env=environment(), capture_output=True, text=True, timeout=HANG_S, check=False,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert "wandb needs the package wandb" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_configs_of_older_runs_mean_the_same():
    assert Tracking.model_validate({"mlflow": False, "uri": None}).sinks == []
    assert Tracking.model_validate({"mlflow": True}).sinks == ["mlflow"]


class TestTensorBoard:
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("tensorboard")

    @staticmethod
    def scalars(run: Path, name: str = "loss") -> list[tuple[int, float]]:
        """As TensorBoard itself reads them."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        read = EventAccumulator(str(run / "tensorboard"))
        read.Reload()
        return [(event.step, event.value) for event in read.Scalars(name)]

    def test_event_files_hold_the_metrics(self, tmp_path):
        walk(Tracking(sinks=["tensorboard"]), tmp_path / "run")
        assert self.scalars(tmp_path / "run") == [(1, 1.875), (2, 1.75), (3, 1.625)]
        assert self.scalars(tmp_path / "run", "mlm/hidden/loss") == [(1, 1.5), (2, 1.5), (3, 1.5)]

    def test_a_resumed_run_hides_what_came_after_its_checkpoint(self, tmp_path):
        settings = Tracking(sinks=["tensorboard"])
        walk(settings, tmp_path / "run")
        walk(settings, tmp_path / "run", [(2, {"loss": 0.5})], first_step=1)
        assert self.scalars(tmp_path / "run") == [(1, 1.875), (2, 0.5)]

    def test_a_sink_that_is_added_later_holds_the_whole_run(self, tmp_path):
        walk(Tracking(sinks=[]), tmp_path / "run")
        walk(Tracking(sinks=["tensorboard"]), tmp_path / "run", [(4, {"loss": 0.5})], first_step=3)
        assert self.scalars(tmp_path / "run") == [(1, 1.875), (2, 1.75), (3, 1.625), (4, 0.5)]


class TestWandb:
    @pytest.fixture(autouse=True)
    def _offline(self, monkeypatch):
        pytest.importorskip("wandb")
        monkeypatch.setenv("WANDB_MODE", "offline")

    @staticmethod
    def stored(run: Path) -> tuple[list[dict], dict]:
        """Rows of the history and the settings, in the file that ``wandb sync`` would send."""
        from wandb.proto import wandb_internal_pb2

        rows, config = [], {}
        for path in sorted(run.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns):
            for data in records_of(path.read_bytes()):
                record = wandb_internal_pb2.Record.FromString(data)
                items = [(item.key or "/".join(item.nested_key), item.value_json) for item in record.history.item]
                if items:
                    rows.append({key: json.loads(value) for key, value in items if not key.startswith("_")})
                for update in (*record.run.config.update, *record.config.update):
                    config[update.key or "/".join(update.nested_key)] = json.loads(update.value_json)
        return rows, config

    def test_an_offline_run_holds_metrics_settings_and_notes(self, tmp_path):
        walk(Tracking(sinks=["wandb"], group="sweep"), tmp_path / "run")
        rows, config = self.stored(tmp_path / "run")
        assert rows == [{"step": step, **values} for step, values in LINES]
        assert config["train.steps"] == 3
        assert config["about.family"] == "ernie_rna"
        assert config["corpora.corpus"]["fingerprint"].startswith("0123abcd")

    def test_a_resumed_run_goes_on_as_the_same_one(self, tmp_path):
        settings, noted = Tracking(sinks=["wandb"]), tmp_path / "run" / "wandb_run_id.txt"
        walk(settings, tmp_path / "run")
        first = noted.read_text()
        walk(settings, tmp_path / "run", [(4, {"loss": 0.5})], first_step=3)
        assert noted.read_text() == first
        names = [path.name for path in (tmp_path / "run").glob("wandb/offline-run-*/*.wandb")]
        assert set(names) == {f"run-{first.strip()}.wandb"}
        assert [row["step"] for row in self.stored(tmp_path / "run")[0]] == [1, 2, 3, 4]


class TestMLflow:
    @staticmethod
    def client(folder: Path):
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")

    def runs(self, folder: Path) -> dict:
        client = self.client(folder)
        found = client.search_experiments(filter_string="name = 'polymerase'")
        return {run.info.run_name: run for run in client.search_runs([one.experiment_id for one in found])}

    def test_runs_of_a_group_are_children_of_one_run(self, tmp_path):
        for name in ("a", "b"):
            walk(Tracking(group="it's a sweep"), tmp_path / name)
        found = self.runs(tmp_path)
        assert set(found) == {"a", "b", "it's a sweep"}
        parent = found["it's a sweep"].info.run_id
        assert {found[name].data.tags["mlflow.parentRunId"] for name in "ab"} == {parent}

    def test_a_continuation_is_a_child_of_the_run_that_made_its_weights(self, tmp_path):
        first = walk(Tracking(), tmp_path / "first")
        afterwards = Tracker(Tracking(), tmp_path / "first", first.run_id, running=False)
        afterwards.tag(EXPORTED, str((tmp_path / "export").resolve()))
        afterwards.flush()
        for name, source in (("of export", "export"), ("of checkpoint", "first/checkpoints/step-3")):
            (tmp_path / name).mkdir()
            tracker = Tracker(Tracking(), tmp_path / name, None)
            tracker.follows(tmp_path / source)
            tracker.end("FINISHED")
            tags = self.runs(tmp_path)[name].data.tags
            assert tags["mlflow.parentRunId"] == first.run_id
            assert tags["continues"] == str(tmp_path / source)

    def test_a_run_that_is_moved_to_another_project_stands_whole_in_its_store(self, tmp_path):
        here, there = tmp_path / "here", tmp_path / "there"
        here.mkdir()
        there.mkdir()
        before = walk(Tracking(), here / "run")
        (here / "run").rename(there / "run")
        after = walk(Tracking(), there / "run", [(4, {"loss": 0.5})], first_step=3)
        assert after.run_id != before.run_id
        history = self.client(there).get_metric_history(after.run_id, "loss")
        assert sorted(one.step for one in history) == [1, 2, 3, 4]
