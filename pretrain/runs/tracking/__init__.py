"""Where a run is shown beside its folder (``tracking.sinks``). No step waits for it, and what it misses is sent later.

While a place does not answer (a server that is away, a lock, the migrations of a store that several runs open at once),
entries wait and are tried again. What a process could not send until its end, the next start of the run fills in from
``metrics.jsonl``.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pretrain.config.sections import Tracking
from pretrain.errors import PolymeraseError
from pretrain.runs.tracking.mlflow_sink import EXPORTED, MLflow, tracked_run
from pretrain.runs.tracking.outbox import Outbox
from pretrain.runs.tracking.sink import Line, Sink
from pretrain.runs.tracking.tensorboard_sink import TensorBoard
from pretrain.runs.tracking.wandb_sink import Wandb

__all__ = ["EXPORTED", "SINKS", "Tracker", "check_sinks", "tracked_run"]

_log = logging.getLogger("polymerase")
SINKS: dict[str, type[Sink]] = {"mlflow": MLflow, "tensorboard": TensorBoard, "wandb": Wandb}
# Variables that these programs read elsewhere; here the config says where a run is shown.
_EXPERIMENT = {"mlflow": "MLFLOW_EXPERIMENT_NAME", "wandb": "WANDB_PROJECT"}
_ATTRIBUTES = ("step", "event", "batch_digest")  # of lines of metrics.jsonl, that are no metrics


def check_sinks(settings: Tracking) -> None:
    """Raise PolymeraseError for the first sink whose package is not installed."""
    for name in settings.sinks:
        package = SINKS[name].package
        if find_spec(package) is None:
            raise PolymeraseError(
                f"tracking.sinks: {name} needs the package {package}, which is not installed; "
                f"pip install {package}, or leave {name} out"
            )


def _say_what_is_not_read(settings: Tracking) -> None:
    for name, variable in _EXPERIMENT.items():
        asked = os.environ.get(variable)
        if name in settings.sinks and asked and asked != settings.experiment:
            _log.warning(
                "tracking: %s=%s is not read; the run is shown under tracking.experiment=%s",
                variable, asked, settings.experiment,
            )  # fmt: skip


class Tracker:
    """All sinks of one run, on rank 0 only.

    Args:
        settings: the ``tracking`` section.
        run_dir: run folder.
        run_id: MLflow run to go on with, from the checkpoint; None for a new one.
        running: the run goes on; False for whoever adds something to a run afterwards.
        first_step: the run goes on after this step.
    """

    def __init__(
        self, settings: Tracking, run_dir: Path, run_id: str | None, *, running: bool = True, first_step: int = 0
    ):
        self._metrics = run_dir / "metrics.jsonl"
        self._written = self._metrics.stat().st_size if self._metrics.exists() else 0
        self._outboxes: list[tuple[Sink, Outbox]] = []
        self._of_mlflow = tracked_run(run_dir, run_id)
        if running:
            _say_what_is_not_read(settings)
        for name in settings.sinks:
            kind = SINKS[name]
            if running or (kind.takes_later and find_spec(kind.package)):
                sink = kind(settings, run_dir, self._of_mlflow if kind is MLflow else None, running, first_step)
                outbox = Outbox(sink)
                outbox.put(lambda sink=sink: self._open(sink))  # type: ignore[misc]
                self._outboxes.append((sink, outbox))

    @property
    def run_id(self) -> str | None:
        """MLflow's name of the run; None until its store has answered for the first time."""
        return next((sink.run_id for sink, _ in self._outboxes if isinstance(sink, MLflow)), self._of_mlflow)

    def parameters(self, values: dict[str, Any]) -> None:
        """Send settings, flattened to dotted keys."""
        flat = _flatten(values)
        self._send(lambda sink: sink.parameters(flat))

    def metrics(self, values: dict[str, float], step: int) -> None:
        """Send the numbers of one step."""
        line = Line(step, int(time.time() * 1000), values)
        self._send(lambda sink: sink.metrics([line]))

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Send a file, kept in ``folder`` of the run's artifacts."""
        self._send(lambda sink: sink.artifact(path, folder))

    def tag(self, name: str, value: str) -> None:
        """Send a note on the run."""
        self._send(lambda sink: sink.tag(name, value))

    def follows(self, source: Path) -> None:
        """Send that the run started from the weights at this place."""
        self._send(lambda sink: sink.follows(source))

    def corpus(self, folder: Path, fingerprint: str, statistics: dict[str, Any]) -> None:
        """Send a corpus, named by its content; the same one twice is noted once."""
        self._send(lambda sink: sink.corpus(folder, fingerprint, statistics))

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED; waits a little for what is not sent yet."""
        self._send(lambda sink: sink.end(status))
        self.flush()

    def flush(self) -> None:
        """Wait until everything is sent, at most some seconds; report what was not."""
        for _, outbox in self._outboxes:
            outbox.flush()

    def _send(self, action: Callable[[Sink], None]) -> None:
        for sink, outbox in self._outboxes:
            outbox.put(lambda sink=sink: action(sink))  # type: ignore[misc]

    def _open(self, sink: Sink) -> None:
        """Open a sink, and send what earlier processes of this run have written and could not send."""
        sink.open()
        if sink.running and self._written:
            sent = sink.last_step()
            if lines := [line for line in self._earlier_lines() if line.step > sent]:
                sink.metrics(lines)
                _log.warning(
                    "tracking: %d lines of metrics.jsonl were missing in %s and were added", len(lines), sink.label
                )

    def _earlier_lines(self) -> Iterator[Line]:
        with self._metrics.open("rb") as file:
            text = file.read(self._written)
        now = int(time.time() * 1000)
        for row in text.splitlines():
            try:
                record = json.loads(row)
                numbers = {
                    key: float(value)
                    for key, value in record.items()
                    if key not in _ATTRIBUTES and isinstance(value, int | float)
                }
                if numbers:
                    yield Line(int(record["step"]), now, numbers)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # the torn last line of a killed process


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
