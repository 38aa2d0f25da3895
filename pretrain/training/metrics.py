"""What a run reports: sums collected on the device, read once per log step, written to ``metrics.jsonl``."""

from __future__ import annotations

import json
import logging
import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pretrain.batches.collate import MicroBatch
from pretrain.distributed.context import DistributedContext, sum_tensor_over_ranks
from pretrain.objectives import LossSums, Objective

_log = logging.getLogger("polymerase")
_BLOCK = 1 << 16  # bytes at the end of metrics.jsonl that are looked at first


class Meter:
    """Sums of losses and metrics of this rank since the last report.

    Adding never waits for the device: one small vector is added to another. Counts are known on the host.
    """

    def __init__(self, objectives: dict[str, Objective], strategies: tuple[str, ...], dist_context: DistributedContext):
        self._objectives, self._strategies, self._dist_context = objectives, strategies, dist_context
        self._start()

    def _start(self) -> None:
        width = sum(1 + sum(objective.metrics.values()) for objective in self._objectives.values())
        self._sums = torch.zeros(width, dtype=torch.float64, device=self._dist_context.device)
        self._counts = np.zeros(len(self._objectives) + len(self._strategies), np.int64)

    def add(self, batch: MicroBatch, sums: dict[str, LossSums]) -> None:
        """One micro-batch of this rank. Fillers do not count."""
        if batch.filler:
            return
        parts = [
            value.detach().reshape(-1).double()
            for name, objective in self._objectives.items()
            for value in (sums[name].loss, *(sums[name].metrics[metric] for metric in objective.metrics))
        ]
        self._sums += torch.cat(parts)
        self._counts += np.concatenate(([batch.counts[name] for name in self._objectives], batch.groups))

    def report(self) -> dict[str, float]:
        """Means over all ranks since the last report, then start again. Collective; the one place that waits."""
        vector = torch.cat([self._sums, torch.from_numpy(self._counts).double().to(self._dist_context.device)])
        sum_tensor_over_ranks(vector, self._dist_context)
        values = iter(vector.tolist()[: len(self._sums)])
        counts = [int(count) for count in vector.tolist()[len(self._sums) :]]
        groups = counts[len(self._objectives) :]
        self._start()
        means: dict[str, float] = {}
        for (name, objective), count in zip(self._objectives.items(), counts, strict=False):
            means[f"{name}/loss"] = next(values) / max(count, 1)
            for metric, width in objective.metrics.items():
                by_strategy = [next(values) for _ in range(width)]
                means[f"{name}/{metric}"] = sum(by_strategy) / max(count, 1)
                if width > 1:
                    for strategy, total, hits in zip(self._strategies, groups, by_strategy, strict=True):
                        means[f"{name}/{metric}/{strategy}"] = hits / max(total, 1)
            if not count:  # nothing was asked, so there is nothing to report
                means = {key: value for key, value in means.items() if not key.startswith(f"{name}/")}
        return means


class MetricsFile:
    """``metrics.jsonl`` of a run: one JSON object per line, rank 0 only."""

    def __init__(self, run_dir: Path):
        self._path = run_dir / "metrics.jsonl"
        self._failed = False

    def append(self, record: dict[str, Any]) -> None:
        """Write one line. A number that is not finite is written as text, so every reader can parse the file."""
        clean = {key: repr(v) if isinstance(v, float) and not math.isfinite(v) else v for key, v in record.items()}
        size = self._path.stat().st_size if self._path.exists() else 0
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(clean) + "\n")
        except OSError as error:  # a full disk may have room again later; the run goes on
            if not self._failed:
                _log.warning("%s: cannot be written: %s; lines will be missing", self._path, error.strerror)
            self._failed = True
            with suppress(OSError):
                os.truncate(self._path, size)  # no half a line

    def cut_after(self, step: int) -> None:
        """Drop the lines of later steps at the end: a resumed run will write them again. Earlier ones are not read."""
        if not self._path.exists():
            return
        with self._path.open("rb+") as file:
            size, block = file.seek(0, os.SEEK_END), _BLOCK
            while True:
                start = file.seek(max(0, size - block))
                lines = file.read().splitlines(keepends=True)
                stay = next((n for n in range(len(lines), 0, -1) if _is_of(lines[n - 1], step)), 0)
                if stay or not start:
                    file.truncate(start + sum(map(len, lines[:stay])))
                    return
                block *= 4


def _is_of(line: bytes, step: int) -> bool:
    """Whether a line is whole (the last one of a killed run may be torn) and of a step up to ``step``."""
    try:
        return line.endswith(b"\n") and json.loads(line)["step"] <= step
    except (ValueError, TypeError, KeyError):
        return False
