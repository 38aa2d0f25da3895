"""MLflow beside the run: parameters, metrics, artifacts. No step waits for it, and what it misses is sent later.

A thread sends entries in order. While the store does not answer (a server that is away, a lock, the migrations of a
store that several runs open at once), entries wait and are tried again. What a process could not send until its end,
the next start of the run fills in from ``metrics.jsonl``.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from data_prep.corpus.files import write_atomic
from pretrain.config.sections import Tracking as TrackingSettings

_log = logging.getLogger("polymerase")
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0  # between two tries
_LAST_WAIT_S, _SILENT_S = 120.0, 10.0  # at the end of a run, for what is not sent yet; for a store that fails
_TRIES = 3  # of what fails although the store answers
_TOGETHER = 100  # parameters or metrics in one request
_ATTRIBUTES = ("step", "event", "batch_digest")  # of lines of metrics.jsonl, that are no metrics
_NOTED = "mlflow_run_id.txt"


def tracked_run(run_dir: Path, of_checkpoint: str | None) -> str | None:
    """Return the MLflow run of a run folder; a checkpoint may be older than the first answer of a slow store."""
    noted = run_dir / _NOTED
    if of_checkpoint is None and noted.is_file():
        return noted.read_text(encoding="ascii").strip()
    return of_checkpoint


class Tracker:
    """One MLflow run, on rank 0 only.

    The default store is a SQLite file in the run folder: ``mlflow ui --backend-store-uri sqlite:///RUN/mlflow.db``.

    Args:
        settings: the ``tracking`` section.
        run_dir: run folder.
        run_id: MLflow run to go on with, from the checkpoint; None for a new one.
        running: the run goes on; False for whoever adds something to a run afterwards.

    Attributes:
        run_id: None until the store has answered for the first time.
    """

    def __init__(self, settings: TrackingSettings, run_dir: Path, run_id: str | None, *, running: bool = True):
        self._noted = run_dir / _NOTED
        self.run_id = tracked_run(run_dir, run_id)
        self._settings, self._run_dir, self._running = settings, run_dir, running
        self._client: Any = None
        self._waiting: queue.Queue[Callable[[], None]] = queue.Queue()
        self._hurry = threading.Event()  # the process ends: no long waits between tries any more
        self._failing_since: float | None = None
        self._given_up = False
        if settings.mlflow:
            metrics = run_dir / "metrics.jsonl"
            self._written = metrics.stat().st_size if running and metrics.exists() else 0
            self._waiting.put(self._open)
            threading.Thread(target=self._send, name="tracking", daemon=True).start()

    def parameters(self, values: dict[str, Any]) -> None:
        """Send settings, flattened to dotted keys.

        MLflow keeps the first value of each: see :meth:`tag` for changes.
        """
        flat = _flatten(values)

        def log() -> None:
            from mlflow.entities import Param

            known = self._client.get_run(self.run_id).data.params
            new = [Param(key, str(value)[:6000]) for key, value in flat.items() if key not in known]
            for start in range(0, len(new), _TOGETHER):
                self._client.log_batch(self.run_id, params=new[start : start + _TOGETHER])

        self._hand_over(log)

    def metrics(self, values: dict[str, float], step: int) -> None:
        """Send the numbers of one step."""
        now = int(time.time() * 1000)
        self._hand_over(lambda: self._log_metrics([(step, now, values)]))

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Send a file, kept in ``folder`` of the run's artifacts."""
        self._hand_over(lambda: self._client.log_artifact(self.run_id, str(path), folder))

    def tag(self, name: str, value: str) -> None:
        """Send a note on the run."""
        self._hand_over(lambda: self._client.set_tag(self.run_id, name, value))

    def corpus(self, folder: Path, fingerprint: str, statistics: dict[str, Any]) -> None:
        """Send a corpus as an MLflow dataset, named by its content; the same one twice is logged once."""

        def log() -> None:
            from mlflow.entities import Dataset, DatasetInput, InputTag

            dataset = Dataset(
                name=folder.name,
                digest=fingerprint[:36],
                source_type="local",
                source=json.dumps({"uri": str(folder.resolve())}),
                profile=json.dumps(statistics),
            )
            known = self._client.get_run(self.run_id).inputs.dataset_inputs
            if dataset.digest not in {one.dataset.digest for one in known}:
                inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
                self._client.log_inputs(self.run_id, inputs)

        self._hand_over(log)

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED; waits a little for what is not sent yet."""
        self._hand_over(lambda: self._client.set_terminated(self.run_id, status))
        self.flush()

    def flush(self) -> None:
        """Wait until everything is sent, at most some seconds; report what was not."""
        if not self._settings.mlflow:
            return
        self._hurry.set()
        began = time.monotonic()
        while self._waiting.unfinished_tasks:
            now, failing = time.monotonic(), self._failing_since
            if now - began > (_LAST_WAIT_S if failing is None else _SILENT_S):
                break
            time.sleep(0.02)
        if left := self._waiting.unfinished_tasks:
            self._given_up = True
            _log.warning(
                "tracking: %d entries did not reach MLflow; the next start of the run fills them in from metrics.jsonl",
                left,
            )

    def _hand_over(self, action: Callable[[], None]) -> None:
        if self._settings.mlflow:
            self._waiting.put(action)

    def _send(self) -> None:
        """Do one thing after another, each until it succeeds."""
        while True:
            action, wait, failures = self._waiting.get(), _FIRST_WAIT_S, 0
            while True:
                try:
                    action()
                    self._failing_since = None
                    if failures:
                        _log.warning("tracking: MLflow answers again; nothing is lost")
                    break
                except Exception as error:  # whatever a tracking server does, training goes on
                    failures += 1
                    self._failing_since = self._failing_since or time.monotonic()
                    reason = str(error).splitlines()[0] if str(error) else repr(error)
                    if failures == 1:
                        _log.warning("tracking: MLflow does not take it (%s); kept, and tried again", reason)
                    if failures >= _TRIES and self._answers():
                        _log.warning("tracking: left out, after %d tries: %s", failures, reason)
                        self._failing_since = None
                        break
                self._hurry.wait(wait)
                if self._hurry.is_set():
                    time.sleep(_FIRST_WAIT_S)
                if self._given_up:
                    return
                wait = min(2 * wait, _LONGEST_WAIT_S)
            self._waiting.task_done()

    def _answers(self) -> bool:
        try:
            self._client.get_run(self.run_id)
        except Exception:
            return False
        return True

    def _open(self) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # trying again is our business
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        for chatty in ("alembic", "mlflow.store"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        import mlflow

        settings, run_dir = self._settings, self._run_dir
        server = settings.uri or os.environ.get("MLFLOW_TRACKING_URI")
        client = mlflow.MlflowClient(tracking_uri=server or sqlite_uri(run_dir / "mlflow.db"))
        experiment = client.get_experiment_by_name(settings.experiment)
        experiment_id = (
            experiment.experiment_id
            if experiment
            else client.create_experiment(
                settings.experiment,
                artifact_location=None if server else (run_dir / "mlflow-artifacts").resolve().as_uri(),
            )
        )
        if self.run_id is None:
            self.run_id = client.create_run(experiment_id, run_name=run_dir.name).info.run_id
            write_atomic(self._noted, f"{self.run_id}\n".encode())
        elif self._running:
            client.update_run(self.run_id, status="RUNNING")
        self._client = client
        if self._running:
            self._fill_gap()

    def _fill_gap(self) -> None:
        """Send what earlier processes of this run have written to ``metrics.jsonl`` and could not send."""
        sent = max((one.step for one in self._client.get_metric_history(self.run_id, "loss")), default=0)
        lines = [line for line in self._earlier_lines() if line[0] > sent]
        if lines:
            self._log_metrics(lines)
            _log.warning("tracking: %d lines of metrics.jsonl were missing in MLflow and are filled in", len(lines))

    def _earlier_lines(self) -> Iterator[tuple[int, int, dict[str, float]]]:
        path = self._run_dir / "metrics.jsonl"
        if not self._written:
            return
        with path.open("rb") as file:
            text = file.read(self._written)
        now = int(time.time() * 1000)
        for line in text.splitlines():
            try:
                record = json.loads(line)
                numbers = {
                    key: float(value)
                    for key, value in record.items()
                    if key not in _ATTRIBUTES and isinstance(value, int | float)
                }
                if numbers:
                    yield int(record["step"]), now, numbers
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # the torn last line of a killed process

    def _log_metrics(self, lines: list[tuple[int, int, dict[str, float]]]) -> None:
        from mlflow.entities import Metric

        found = [Metric(key, float(value), now, step) for step, now, values in lines for key, value in values.items()]
        for start in range(0, len(found), _TOGETHER):
            self._client.log_batch(self.run_id, found[start : start + _TOGETHER])


def sqlite_uri(path: Path) -> str:
    """Return the address of a SQLite file. Characters that mean something in an address are kept out of it."""
    path = path.resolve()
    if not re.search(r"[?#%]", str(path)):
        return f"sqlite:///{path}"
    folder = os.open(path.parent, os.O_RDONLY)  # for as long as the process lives
    return f"sqlite:////proc/self/fd/{folder}/{path.name}"


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
