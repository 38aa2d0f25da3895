"""Reading what a run has left: its config, its metrics, its environment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pretrain.config import Config, load_config
from pretrain.environment import FILE_NAME as ENVIRONMENT
from pretrain.errors import PolymeraseError


@dataclass(frozen=True)
class RunRecords:
    """One run, finished or not.

    Attributes:
        numbers: lines of metrics.jsonl in order; those of training have ``loss``, evaluations ``validation/...``.
        events: (step, text) of what rarely happens.
        environment: what the run noted about its machine; empty if it noted nothing.
    """

    folder: Path
    config: Config
    numbers: list[dict[str, float]]
    events: list[tuple[int, str]]
    environment: dict[str, Any]

    @property
    def last_step(self) -> int:
        """The newest step with numbers."""
        return int(self.numbers[-1]["step"]) if self.numbers else 0

    @property
    def finished(self) -> bool:
        """Whether the run reached its last step."""
        return (self.folder / "DONE").is_file()

    def series(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of one metric, float64 each (K,)."""
        points = [(line["step"], line[name]) for line in self.numbers if name in line]
        steps, values = zip(*points, strict=True) if points else ((), ())
        return np.array(steps, np.float64), np.array(values, np.float64)

    def names(self, prefix: str = "") -> list[str]:
        """Names of all metrics that begin so, in order of their first appearance."""
        return list(dict.fromkeys(name for line in self.numbers for name in line if name.startswith(prefix)))

    def last(self, name: str) -> float | None:
        """The newest value of a metric."""
        values = self.series(name)[1]
        return float(values[-1]) if len(values) else None


def read_run(folder: Path) -> RunRecords:
    """PolymeraseError where there is no run, or it has not logged anything yet."""
    if not (folder / "config.yaml").is_file():
        raise PolymeraseError(f"{folder}: no run folder (config.yaml is missing)")
    config = load_config(str(folder / "config.yaml"))
    numbers, events = [], []
    metrics = folder / "metrics.jsonl"
    for line in metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else ():
        try:
            record = json.loads(line)
        except ValueError:  # the last line of a run that was killed
            continue
        if "event" in record:
            events.append((int(record["step"]), str(record["event"])))
        else:
            numbers.append({key: value for key, raw in record.items() if (value := _number(key, raw)) is not None})
    if not numbers:
        raise PolymeraseError(f"{folder}: nothing is logged yet (metrics.jsonl); train.log_every says when it is")
    environment = folder / ENVIRONMENT
    noted = json.loads(environment.read_text(encoding="utf-8")) if environment.is_file() else {}
    return RunRecords(folder, config, numbers, events, noted)


def _number(key: str, raw: Any) -> float | None:
    """Numbers that were not finite are kept as text in the file (``'nan'``); checksums are no numbers."""
    if key == "batch_digest":
        return None
    try:
        return float(raw)
    except (TypeError, ValueError):
        return None
