"""Metrics of a run: sums collected on the device, read once per log step, written to ``metrics.jsonl``."""

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

    Adding never waits for the device: one small vector is added to another. Denominators are known on the host.
    """

    def __init__(self, objectives: dict[str, Objective], dist_context: DistributedContext):
        self._objectives, self._dist_context = objectives, dist_context
        self._start()

    def _start(self) -> None:
        width = sum(1 + sum(objective.metrics.values()) for objective in self._objectives.values())
        self._sums = torch.zeros(width, dtype=torch.float64, device=self._dist_context.device)
        self._denominators = np.zeros(sum(len(objective.groups) for objective in self._objectives.values()))

    def add(self, batch: MicroBatch, sums: dict[str, LossSums]) -> None:
        """Add one micro-batch of this rank. Dummies do not count."""
        if batch.filler:
            return
        parts = [
            value.detach().reshape(-1).double()
            for name, objective in self._objectives.items()
            for value in (sums[name].loss, *(sums[name].metrics[metric] for metric in objective.metrics))
        ]
        self._sums += torch.cat(parts)
        self._denominators += np.concatenate([batch.groups[name] for name in self._objectives])

    def report(self) -> dict[str, float]:
        """Return means over all ranks since the last report, then start again. Collective; the one place that waits.

        Returns:
            ``OBJECTIVE/loss`` and ``OBJECTIVE/METRIC``; of targets in groups also ``OBJECTIVE/hidden/METRIC`` and
            ``OBJECTIVE/shown/METRIC``, and ``OBJECTIVE/accuracy/STRATEGY`` of a mixture.
        """
        vector = torch.cat([self._sums, torch.from_numpy(self._denominators).to(self._dist_context.device)])
        sum_tensor_over_ranks(vector, self._dist_context)
        values = vector.cpu().numpy()
        sums, denominators = values[: len(self._sums)], values[len(self._sums) :]
        self._start()
        means: dict[str, float] = {}
        for name, objective in self._objectives.items():
            of_groups, denominators = np.split(denominators, [len(objective.groups)])
            loss, sums = sums[0], sums[1:]
            found = {f"{name}/loss": loss / (of_groups.sum() or 1.0)}
            for metric, width in objective.metrics.items():
                part, sums = sums[:width], sums[width:]
                if metric != "loss":  # that of all groups is the loss that is trained
                    found[f"{name}/{metric}"] = part.sum() / (of_groups.sum() or 1.0)
                if width > 1:
                    found |= _by_label(name, metric, objective.groups, part, of_groups)
            if of_groups.any():  # else nothing was asked, so there is nothing to report
                means |= {key: float(value) for key, value in found.items()}
        return means


def _by_label(
    name: str, metric: str, groups: tuple[tuple[str, ...], ...], sums: np.ndarray, denominators: np.ndarray
) -> dict[str, float]:
    """Means over the groups (G,) that share a label. The first label stands before the metric, others behind it."""
    found = {}
    for place in range(len(groups[0])):
        labels = list(dict.fromkeys(group[place] for group in groups))
        if len(labels) == 1 or (place and metric == "loss"):
            continue
        for label in labels:
            rows = np.array([group[place] == label for group in groups])
            total = denominators[rows].sum()
            if place:
                found[f"{name}/{metric}/{label}"] = sums[rows].sum() / (total or 1.0)
            elif total:
                found[f"{name}/{label}/{metric}"] = sums[rows].sum() / total
    return found


class MetricsFile:
    """``metrics.jsonl`` of a run: one JSON object per line, rank 0 only."""

    def __init__(self, run_dir: Path):
        self._path = run_dir / "metrics.jsonl"
        self._failed = False

    def append(self, record: dict[str, Any]) -> None:
        """Write one line. A number that is not finite is written as text, so that every reader can parse the file."""
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
        """Drop the lines of later steps at the end: a resumed run will write them again. Earlier lines are not read."""
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
