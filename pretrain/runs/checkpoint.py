"""Checkpoints that are whole or absent.

``checkpoints/step-N/`` holds ``weights.safetensors`` (float32), ``optimizer.safetensors``, ``train_state.json`` and
``integrity.json`` (size and sha256 of each). Large models have parts and an index in place of the first two, a part
from each rank. It is written under another name, flushed to the disk, and published by a rename; ``latest`` is moved
last. A reader checks the sums, so a torn or flipped file is noticed, and the checkpoint before it is taken instead.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from data_prep.corpus.files import flush_to_disk, write_atomic
from pretrain.errors import PolymeraseError
from pretrain.runs.tensor_files import StoredTensors, files_of, write_tensors

WEIGHTS, OPTIMIZER, TRAIN_STATE, INTEGRITY = (
    "weights.safetensors",
    "optimizer.safetensors",
    "train_state.json",
    "integrity.json",
)
_PARTIAL = ".partial-"
_log = logging.getLogger("polymerase")


class DamagedError(Exception):
    """Files of a checkpoint differ from what was written."""


class Checkpoints:
    """The checkpoints of one run folder."""

    def __init__(self, run_dir: Path):
        self.folder = run_dir / "checkpoints"

    def steps(self) -> list[int]:
        """List the steps with a published checkpoint, oldest first."""
        found = (re.fullmatch(r"step-(\d+)", path.name) for path in self.folder.glob("step-*") if path.is_dir())
        return sorted(int(match[1]) for match in found if match)

    def path(self, step: int) -> Path:
        """Return the folder of a step's checkpoint."""
        return self.folder / f"step-{step}"

    def save(self, step: int, weights: dict[str, Tensor], optimizer: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Write and publish a checkpoint.

        Raises:
            OSError: the disk is full or read-only; nothing is published and nothing is left behind.
        """
        try:
            partial, facts = self.begin(step), {}
            for name, tensors in ((WEIGHTS, weights), (OPTIMIZER, optimizer)):
                shapes = {key: tensor.shape for key, tensor in tensors.items()}
                facts[name] = write_tensors(partial / name, shapes, tensors.values())
            self.finish(step, state, facts)
        except BaseException:
            self.abandon(step)
            raise

    def begin(self, step: int) -> Path:
        """Make the folder that a checkpoint is written to until it is published, and remove what killed saves left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(f"{_PARTIAL}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        partial = self.partial(step)
        partial.mkdir()
        return partial

    def partial(self, step: int) -> Path:
        """Return the folder of a checkpoint that is being written."""
        return self.folder / f"{_PARTIAL}step-{step}"

    def finish(self, step: int, state: dict[str, Any], facts: dict[str, dict[str, Any]]) -> None:
        """Publish a checkpoint whose tensors are written; ``facts`` are size and checksum of their files."""
        partial = self.partial(step)
        facts = facts | {TRAIN_STATE: write_atomic(partial / TRAIN_STATE, _json(state))}
        write_atomic(partial / INTEGRITY, _json(facts))
        flush_to_disk(partial)
        self._publish(partial, self.path(step))
        self._point_latest(step)

    def abandon(self, step: int) -> None:
        """Remove a checkpoint that could not be written."""
        shutil.rmtree(self.partial(step), ignore_errors=True)

    def _publish(self, partial: Path, final: Path) -> None:
        replaced = self.folder / f"{_PARTIAL}replaced-{final.name}"
        if final.exists():  # the same step again, after going back to an older checkpoint
            final.rename(replaced)
        partial.rename(final)
        flush_to_disk(self.folder)
        shutil.rmtree(replaced, ignore_errors=True)

    def _point_latest(self, step: int) -> None:
        write_atomic(self.folder / "latest", f"step-{step}\n".encode())
        flush_to_disk(self.folder)

    def retain(self, keep_last: int, keep_every: int, best: int = -1) -> None:
        """Delete all but the newest ``keep_last``, the multiples of ``keep_every`` (0: none of those) and ``best``."""
        for step in self.steps()[:-keep_last]:
            if step != best and (not keep_every or step % keep_every):
                doomed = self.path(step).rename(self.folder / f"{_PARTIAL}old-{step}")  # never half a step-N
                shutil.rmtree(doomed, ignore_errors=True)

    def put_aside(self, step: int) -> Path:
        """Rename a damaged checkpoint, so that it is not resumed from but can be looked at."""
        aside = self.folder / f"damaged-step-{step}"
        shutil.rmtree(aside, ignore_errors=True)
        try:
            return self.path(step).rename(aside)
        except OSError:  # a read-only disk: it stays where it is
            return self.path(step)

    def whole(self) -> Iterator[tuple[int, str | None]]:
        """Yield steps, newest first, each with what is wrong with it (None: whole)."""
        for step in reversed(self.steps()):
            try:
                verify(self.path(step))
            except DamagedError as damage:
                yield step, str(damage)
            else:
                yield step, None


def verify(folder: Path) -> None:
    """Compare every file with the integrity file.

    Raises:
        DamagedError: names the file that differs.
    """
    try:
        expected = json.loads((folder / INTEGRITY).read_text(encoding="utf-8"))
        names = {*expected.keys(), TRAIN_STATE, *files_of(folder, WEIGHTS), *files_of(folder, OPTIMIZER)}
        for name in sorted(names):
            if _facts(folder / name) != expected.get(name):
                raise DamagedError(f"{folder / name}: does not match its checksum")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{folder}: {error}") from None


def read_state(folder: Path) -> dict[str, Any]:
    """Read ``train_state.json`` of a verified checkpoint."""
    return json.loads((folder / TRAIN_STATE).read_text(encoding="utf-8"))


def open_tensors(folder: Path, name: str) -> StoredTensors:
    """Open the tensors of a checkpoint, as data (safetensors): each is read when it is asked for."""
    return StoredTensors(folder, name)


def read_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, as data (safetensors)."""
    stored = open_tensors(folder, name)
    return {key: stored[key].clone() for key in sorted(stored)}


def best_step(run_dir: Path) -> int | None:
    """Return the step of the best evaluation of a run that stopped early (``train.patience``); None of all others."""
    checkpoints = Checkpoints(run_dir)
    steps = checkpoints.steps()
    patience = read_state(checkpoints.path(steps[-1])).get("patience", {}) if steps else {}
    best = patience.get("best_step", -1)
    return best if patience.get("stopped") and best in steps and best != steps[-1] else None


def find_checkpoint(run_dir: Path, step: int | None = None) -> Path:
    """Return the newest whole checkpoint of a run, or that of a step.

    Newer ones that are damaged are named on stderr.

    Raises:
        PolymeraseError: it is not there, or damaged.
    """
    checkpoints = Checkpoints(run_dir)
    if step is not None:
        if step not in checkpoints.steps():
            there = ", ".join(map(str, checkpoints.steps())) or "none"
            raise PolymeraseError(f"{run_dir}: no checkpoint of step {step}; available: {there}")
        try:
            verify(checkpoints.path(step))
        except DamagedError as damage:
            raise PolymeraseError(f"{damage}; choose another checkpoint with --step") from None
        return checkpoints.path(step)
    problems: list[str] = []
    for candidate, problem in checkpoints.whole():
        if problem is None:
            if problems:
                _log.warning("warning: damaged: %s; taking step-%d", "; ".join(problems), candidate)
            return checkpoints.path(candidate)
        problems.append(problem)
    raise PolymeraseError(f"{run_dir}: no complete checkpoint" + (f" ({'; '.join(problems)})" if problems else ""))


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _facts(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}
