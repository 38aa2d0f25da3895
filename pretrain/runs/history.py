"""Reading what a run has recorded: its config, its metrics, its environment."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.corpus.files import write_atomic
from pretrain.config import Config, load_config
from pretrain.errors import PolymeraseError
from pretrain.runs.provenance import FILE_NAME as ENVIRONMENT

HELD_OUT = "held_out.json"  # in run folders


@dataclass(frozen=True)
class RunRecords:
    """The records of one run, finished or not.

    Attributes:
        numbers: lines of metrics.jsonl in order; those of training have ``loss``, evaluations ``validation/...``.
        events: (step, text) of rare events.
        environment: facts the run noted about its machine; empty if it noted none.
        held_out: figures of the last evaluation by objective, beside baselines; empty if there was none.
    """

    folder: Path
    config: Config
    numbers: list[dict[str, float]]
    events: list[tuple[int, str]]
    environment: dict[str, Any]
    held_out: dict[str, Any] = field(default_factory=dict)

    def until(self, step: int) -> RunRecords:
        """Return the records up to a step."""
        held_out = self.held_out if self.held_out.get("step", 0) <= step else {}
        return replace(self, numbers=[line for line in self.numbers if line["step"] <= step], held_out=held_out)

    @property
    def last_step(self) -> int:
        """The newest step with numbers."""
        return int(self.numbers[-1]["step"]) if self.numbers else 0

    @property
    def finished(self) -> bool:
        """Whether the run reached its last step."""
        return (self.folder / "DONE").is_file()

    def series(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return steps and values of one metric, float64 each (K,)."""
        points = [(line["step"], line[name]) for line in self.numbers if name in line]
        steps, values = zip(*points, strict=True) if points else ((), ())
        return np.array(steps, np.float64), np.array(values, np.float64)

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of all metrics with this prefix, in order of their first appearance."""
        return list(dict.fromkeys(name for line in self.numbers for name in line if name.startswith(prefix)))

    def names_ending(self, suffix: str) -> list[str]:
        """Return the names of all metrics with this suffix, in order of their first appearance."""
        return [name for name in self.names() if name.endswith(suffix)]

    def total(self, name: str) -> float:
        """Sum a metric over all steps; it is logged as the mean of the steps since the last line."""
        steps, values = self.series(name)
        return float((np.diff(steps, prepend=0.0) * values).sum())

    def last(self, name: str) -> float | None:
        """Return the newest value of a metric; None if it was never logged."""
        values = self.series(name)[1]
        return float(values[-1]) if len(values) else None


def read_run(folder: Path) -> RunRecords:
    """Read the records of a run folder.

    Raises:
        PolymeraseError: there is no run, or it has not logged anything yet.
    """
    if not (folder / "config.yaml").is_file():
        raise PolymeraseError(f"{folder}: expected a run folder, found no config.yaml")
    config = load_config(str(folder / "config.yaml"))
    numbers, events = [], []
    metrics = folder / "metrics.jsonl"
    for line in metrics.read_bytes().splitlines() if metrics.is_file() else ():
        try:
            record = json.loads(line)
        except ValueError:  # the last line of a run that was killed
            continue
        if not isinstance(record, dict) or "step" not in record:
            continue
        if "event" in record:
            events.append((int(record["step"]), str(record["event"])))
        else:
            numbers.append({key: value for key, raw in record.items() if (value := _number(key, raw)) is not None})
    if not numbers:
        raise PolymeraseError(f"{folder}: nothing is logged yet (metrics.jsonl); see train.log_every")
    environment = folder / ENVIRONMENT
    try:
        noted = json.loads(environment.read_bytes()) if environment.is_file() else {}
    except ValueError:
        raise PolymeraseError(f"{environment}: not JSON; remove the file to write the report without it") from None
    return RunRecords(folder, config, numbers, events, noted, _read_held_out(folder / HELD_OUT))


def write_held_out(folder: Path, step: int, objectives: dict[str, Any]) -> None:
    """Write the figures of an evaluation, in place of those of the last one; OSError if the disk is full."""
    record = {"step": step, "objectives": _finite(objectives)}
    write_atomic(folder / HELD_OUT, json.dumps(record, indent=1, allow_nan=False).encode() + b"\n")


def _finite(value: Any) -> Any:
    """Numbers that are not finite as None, so that every reader of JSON can read the file."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read_held_out(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes()) if path.is_file() else {}
    except ValueError:
        raise PolymeraseError(f"{path}: not JSON; remove the file to write the report without it") from None
    return found if isinstance(found, dict) and isinstance(found.get("objectives"), dict) else {}


def _number(key: str, raw: Any) -> float | None:
    """Numbers that were not finite are kept as text in the file (``'nan'``); checksums are no numbers."""
    if key == "batch_digest":
        return None
    try:
        return float(raw)
    except (TypeError, ValueError):
        return None
