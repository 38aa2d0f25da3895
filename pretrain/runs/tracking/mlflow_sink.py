"""MLflow: parameters, metrics, artifacts, corpora as datasets; runs of a sweep and continuations as children."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.corpus.files import write_atomic
from pretrain.runs.tracking.sink import Line, Sink

_TOGETHER = 100  # parameters or metrics in one request
_NOTED = "mlflow_run_id.txt"
_STORE, _ARTIFACTS = "mlflow.db", "mlflow-artifacts"  # beside the run folders: one store for all of a project
_PARENT, _GROUP = "mlflow.parentRunId", "group"
EXPORTED = "exported_model"  # tag: where the run's model was exported to


def tracked_run(run_dir: Path, of_checkpoint: str | None) -> str | None:
    """Return the MLflow run of a run folder; a checkpoint may be older than the first answer of a slow store."""
    noted = run_dir / _NOTED
    if of_checkpoint is None and noted.is_file():
        return noted.read_text(encoding="ascii").strip()
    return of_checkpoint


def store_of(run_dir: Path) -> Path:
    """Return the file of a run's own store: ``mlflow.db`` beside its folder, or inside where an older run has it."""
    own = run_dir / _STORE
    return own if own.is_file() else run_dir.resolve().parent / _STORE


class MLflow(Sink):
    """One MLflow run. The default store is a SQLite file that the runs beside each other share.

    See them with ``mlflow ui --backend-store-uri sqlite:///runs/mlflow.db``.

    Attributes:
        run_id: None until the store has answered for the first time.
    """

    label, package, takes_later = "MLflow", "mlflow", True
    _client: Any = None

    def open(self) -> None:
        """Open the store and the run in it."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # trying again is our business
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        for chatty in ("alembic", "mlflow.store"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        import mlflow

        server = self.settings.uri or os.environ.get("MLFLOW_TRACKING_URI")
        store = store_of(self.run_dir)
        with _alone(_file_of(server) if server else store):  # its tables are made once, an experiment or a group too
            client = mlflow.MlflowClient(tracking_uri=server or sqlite_uri(store))
            experiment_id = self._experiment(client, None if server else store.parent / _ARTIFACTS)
            self._enter(client, experiment_id)
        self._client = client

    def _experiment(self, client: Any, artifacts: Path | None) -> str:
        found = client.get_experiment_by_name(self.settings.experiment)
        if found is not None:
            return found.experiment_id
        location = None if artifacts is None else artifacts.resolve().as_uri()
        return client.create_experiment(self.settings.experiment, artifact_location=location)

    def _enter(self, client: Any, experiment_id: str) -> None:
        """Go on with the run, or make one: a new one too where the store does not know the noted one any more."""
        if self.run_id is not None and _knows(client, self.run_id):
            if self.running:
                client.update_run(self.run_id, status="RUNNING")
            return
        tags = {_PARENT: self._of_group(client, experiment_id)} if self.settings.group else None
        self.run_id = client.create_run(experiment_id, run_name=self.run_dir.resolve().name, tags=tags).info.run_id
        write_atomic(self.run_dir / _NOTED, f"{self.run_id}\n".encode())

    def _of_group(self, client: Any, experiment_id: str) -> str:
        """The run that stands for the whole group."""
        group = self.settings.group
        found = client.search_runs([experiment_id], f'tags.{_GROUP} = "{group}"', max_results=1)
        if found:
            return found[0].info.run_id
        parent = client.create_run(experiment_id, run_name=group, tags={_GROUP: group}).info.run_id
        client.set_terminated(parent, "FINISHED")
        return parent

    def last_step(self) -> int:
        """Return the newest step with a loss."""
        return max((one.step for one in self._client.get_metric_history(self.run_id, "loss")), default=0)

    def parameters(self, flat: dict[str, Any]) -> None:
        """Take the settings. MLflow keeps the first value of each: changes are tags."""
        from mlflow.entities import Param

        known = self._client.get_run(self.run_id).data.params
        new = [Param(key, str(value)[:6000]) for key, value in flat.items() if key not in known]
        for start in range(0, len(new), _TOGETHER):
            self._client.log_batch(self.run_id, params=new[start : start + _TOGETHER])

    def metrics(self, lines: list[Line]) -> None:
        """Take numbers, many in one request."""
        from mlflow.entities import Metric

        found = [
            Metric(key, float(value), line.time_ms, line.step) for line in lines for key, value in line.values.items()
        ]
        for start in range(0, len(found), _TOGETHER):
            self._client.log_batch(self.run_id, found[start : start + _TOGETHER])

    def tag(self, name: str, value: str) -> None:
        """Take a tag."""
        self._client.set_tag(self.run_id, name, value)

    def follows(self, source: Path) -> None:
        """Make this run a child of the one before, if that is in the same store and no group is the parent."""
        super().follows(source)
        if not self.settings.group and (parent := self._run_of(source.resolve())) not in (None, self.run_id):
            self.tag(_PARENT, parent)

    def _run_of(self, source: Path) -> str | None:
        """The run whose folder the weights lie in, or that was exported there."""
        for folder in (source, *source.parents):
            noted = tracked_run(folder, None)
            if noted is not None and _knows(self._client, noted):
                return noted
        own = self._client.get_run(self.run_id).info.experiment_id
        if '"' in str(source):  # a search has no way to write it
            return None
        found = self._client.search_runs([own], f'tags.{EXPORTED} = "{source}"', max_results=1)
        return found[0].info.run_id if found else None

    def corpus(self, folder: Path, fingerprint: str, statistics: dict[str, Any]) -> None:
        """Take a corpus as a dataset, named by its content."""
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

    def artifact(self, path: Path, folder: str | None) -> None:
        """Take a file, kept in ``folder`` of the run's artifacts."""
        self._client.log_artifact(self.run_id, str(path), folder)

    def end(self, status: str) -> None:
        """Close the run."""
        self._client.set_terminated(self.run_id, status)

    def answers(self) -> bool:
        """Whether the store knows the run."""
        try:
            self._client.get_run(self.run_id)
        except Exception:
            return False
        return True


def sqlite_uri(path: Path) -> str:
    """Return the address of a SQLite file. Characters that mean something in an address are kept out of it."""
    path = path.resolve()
    if not re.search(r"[?#%]", str(path)):
        return f"sqlite:///{path}"
    folder = os.open(path.parent, os.O_RDONLY)  # for as long as the process lives
    return f"sqlite:////proc/self/fd/{folder}/{path.name}"


def _file_of(uri: str) -> Path | None:
    """The file of a SQLite address; None for other places."""
    found = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+)(\?.*)?", uri)
    return Path(found[1]) if found else None


def _knows(client: Any, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


@contextmanager
def _alone(store: Path | None) -> Iterator[None]:
    """Context in which no other run opens the store: two that make its tables at once leave a broken one.

    A server sees to that itself; some file systems know no locks.
    """
    if store is None:
        yield
        return
    with store.with_suffix(".lock").open("a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX)
        except OSError as error:
            logging.getLogger("polymerase").debug("%s: no lock: %s", store, error)
        yield
