"""Results that are written after every task, so that a bench which is cut off goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data_prep.corpus.files import write_atomic
from pretrain.errors import PolymeraseError
from pretrain.evaluation.bench.run import Options
from pretrain.evaluation.bench.task import Task
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.out_file import check_out_file


class Saved:
    """Task -> its JSON, in memory and, with a path, in a file that is whole at any time.

    Raises:
        PolymeraseError: the file cannot be written, or holds something else, or results of other models or settings.
    """

    def __init__(self, path: Path | None, models: list[TrainedModel], options: Options, encode: Callable[[Any], str]):
        self._path, self._encode = path, encode
        self._asked = {
            "models": {model.source: _weights(model) for model in models},
            "settings": json.loads(json.dumps(_settings(options))),
        }
        self.tasks: dict[str, Any] = {}
        self._earlier: dict[str, Any] = {}
        if path is not None:
            check_out_file(path)
        if path is None or not path.exists():
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            asked, self._earlier = found["asked"], dict(found["tasks"])
        except (ValueError, TypeError, KeyError):
            raise PolymeraseError(f"{path}: expected a file written by bench; give another --out") from None
        if asked != self._asked:
            raise PolymeraseError(f"{path}: holds results of other models or settings; give another --out or remove it")

    def has(self, task: Task) -> bool:
        """Whether the file has this task with these rows; if so it is taken over."""
        earlier = self._earlier.get(task.name)
        if earlier is None or earlier.get("fingerprint") != fingerprint(task):
            return False
        self.tasks[task.name] = earlier
        return True

    def add(self, task: Task, result: dict[str, Any], missing: dict[str, str]) -> None:
        """Take a result, and write all of them."""
        self.tasks[task.name] = result | {"fingerprint": fingerprint(task)}
        if self._path is not None:
            whole = {**self.json(missing), "tasks": self._earlier | self.tasks}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._path, (self._encode(whole) + "\n").encode())

    def json(self, missing: dict[str, str]) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {"asked": self._asked, "tasks": self.tasks, "missing": missing}


def fingerprint(task: Task) -> str:
    """Of sequences, labels, splits and metric."""
    digest = hashlib.sha256(repr((task.metric, task.table.classes)).encode())
    for array in (task.table.sequences.values, task.table.sequences.offsets, task.table.labels, *task.rows.values()):
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def _weights(model: TrainedModel) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()[:16]


def _settings(options: Options) -> dict[str, Any]:
    tuning = None if options.tuning is None else asdict(options.tuning)
    return {"pool": options.pool, "layer": options.layer, "seeds": options.seeds, "tuning": tuning}
