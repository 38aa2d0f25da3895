"""MLflow beside the run: parameters, metrics, artifacts. Whatever goes wrong here is said once and stops nothing."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pretrain.config.sections import Tracking as TrackingSettings

_log = logging.getLogger("polymerase")


class Tracker:
    """One MLflow run, on rank 0 only.

    The default store is a SQLite file in the run folder: ``mlflow ui --backend-store-uri sqlite:///RUN/mlflow.db``.

    Args:
        settings: the ``tracking`` section.
        run_dir: run folder.
        run_id: MLflow run to go on with, from the checkpoint; None for a new one.
        running: the run goes on; False for whoever adds something to a run afterwards.
    """

    def __init__(self, settings: TrackingSettings, run_dir: Path, run_id: str | None, *, running: bool = True):
        self.run_id = run_id
        self._running = running
        self._client: Any = None
        if settings.mlflow:
            self._safely(lambda: self._open(settings, run_dir))

    def _open(self, settings: TrackingSettings, run_dir: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # the default is to try a silent server for four minutes, while all ranks wait
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        for chatty in ("alembic", "mlflow.store"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        import mlflow

        server = settings.uri or os.environ.get("MLFLOW_TRACKING_URI")
        uri = server or f"sqlite:///{(run_dir / 'mlflow.db').resolve()}"
        client = mlflow.MlflowClient(tracking_uri=uri)
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
        elif self._running:
            client.update_run(self.run_id, status="RUNNING")
        self._client = client

    def parameters(self, values: dict[str, Any]) -> None:
        """Settings, flattened to dotted keys. A resumed run keeps those it began with."""
        flat = _flatten(values)

        def log() -> None:
            from mlflow.entities import Param

            known = self._client.get_run(self.run_id).data.params
            new = [Param(key, str(value)[:6000]) for key, value in flat.items() if key not in known]
            for start in range(0, len(new), 100):
                self._client.log_batch(self.run_id, params=new[start : start + 100])

        self._call(log)

    def metrics(self, values: dict[str, float], step: int) -> None:
        """Numbers of one step."""

        def log() -> None:
            import time

            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            self._client.log_batch(self.run_id, [Metric(key, float(value), now, step) for key, value in values.items()])

        self._call(log)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """A file, kept in ``folder`` of the run's artifacts."""
        self._call(lambda: self._client.log_artifact(self.run_id, str(path), folder))

    def tag(self, name: str, value: str) -> None:
        """A note on the run."""
        self._call(lambda: self._client.set_tag(self.run_id, name, value))

    def corpus(self, folder: Path, fingerprint: str, statistics: dict[str, Any]) -> None:
        """A corpus as an MLflow dataset, named by its content; the same one twice is logged once."""

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

        self._call(log)

    def end(self, status: str) -> None:
        """FINISHED, FAILED or KILLED."""
        self._call(lambda: self._client.set_terminated(self.run_id, status))

    def _call(self, action: Callable[[], None]) -> None:
        if self._client is not None:
            self._safely(action)

    def _safely(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # any failure of a tracking server: training goes on
            self._client = None
            _log.warning("tracking is off from here on: %s", str(error).splitlines()[0] if str(error) else repr(error))


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
