"""Where a run starts: at the beginning, at its own newest whole checkpoint, or at one that is named."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretrain.assembly import Parts
from pretrain.checkpoint import Checkpoints, DamagedError, read_state, verify
from pretrain.distributed import Place, agree, from_all, from_first
from pretrain.errors import PolymeraseError
from pretrain.identity import check_same, identity


@dataclass(frozen=True)
class Start:
    """Everything needed to go on. Rank, world size and ZeRO stage are not part of it.

    Attributes:
        folder: checkpoint to continue from; None at the very beginning.
        state: its ``train_state.json``.
    """

    micro_batches_per_step: int
    message: str
    folder: Path | None = None
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def step(self) -> int:
        return self.state.get("step", 0)

    @property
    def position(self) -> int:
        """In the stream of samples."""
        return self.state.get("position", 0)


def find_start(parts: Parts, place: Place, run_dir: Path, resume: str, allow_change: list[str]) -> Start:
    """Decide where to start; the same on every rank. Collective.

    Ranks whose configs or corpora differ are refused: they would train different runs.

    ``auto`` takes the newest whole checkpoint of the run folder if there is one, and says so when a newer one is
    damaged. ``never`` refuses a run folder that has checkpoints. Anything else is a run or checkpoint folder to
    continue from, and an error if it has no whole checkpoint.
    """
    _check_alike(parts, place)
    checkpoints = Checkpoints(run_dir)
    warnings: list[str] = []
    if resume in ("auto", "never"):
        there = from_first(bool(checkpoints.steps()), place)
        if there and resume == "never":
            raise PolymeraseError(f"{run_dir} has checkpoints already; use --resume auto, or another run.dir")
        folder = newest_whole(checkpoints, place, warnings) if there else None
    else:
        folder = _named(Path(resume), place, warnings)
    if folder is None:
        own = parts.config.batch
        count = own.micro_batches_per_step or own.accumulation * place.world_size
        return Start(count, f"starting {run_dir} at step 0")
    state, problem = {}, None
    try:
        state = read_state(folder)
        changes = check_same(state["identity"], identity(parts), allow_change, str(folder))
        changes += _check_micro_batches(state["micro_batches_per_step"], parts, allow_change, folder)
        warnings += [f"allowed change: {change}" for change in changes]
    except PolymeraseError as error:
        problem = str(error)
    agree(problem, place)
    count = parts.config.batch.micro_batches_per_step or state["micro_batches_per_step"]
    if empty := -count % place.world_size:
        warnings.append(
            f"note: {count} micro-batches per step, as before, leave {empty} of {count + empty} turns of the "
            f"{place.world_size} ranks without work"
        )
    message = "; ".join([*warnings, f"resuming {folder} at step {state['step']}"])
    return Start(count, message, folder, state)


def _check_micro_batches(before: int, parts: Parts, allow_change: list[str], folder: Path) -> list[str]:
    """Their number stays as it was, so that global batches do, unless another one is asked for by name."""
    now = parts.config.batch.micro_batches_per_step
    if now in (None, before):
        return []
    what = f"batch.micro_batches_per_step was {before}, is now {now}"
    if "batch" not in allow_change:
        raise PolymeraseError(f"{folder}: {what}; leave it out, or pass --allow-change batch")
    return [what]


def _check_alike(parts: Parts, place: Place) -> None:
    """Compare what the ranks have read. Folders and interfaces may have other names on other hosts. Collective."""
    names = {"run": {"dir"}, "corpus": {"path", "extra"}, "model": {"init_from"}, "engine": {"interface", "deepspeed"}}
    mine = parts.config.model_dump(mode="json", exclude=names) | {
        "content of the corpora": [corpus.fingerprint for corpus in parts.corpora]
    }
    first, *others = from_all((socket.gethostname(), mine), place)
    for rank, (host, other) in enumerate(others, 1):
        unlike = [name for name, value in first[1].items() if other[name] != value]
        if unlike:
            raise PolymeraseError(
                f"rank {rank} on {host} and rank 0 on {first[0]} have read unlike inputs: {', '.join(unlike)}; "
                "give all hosts the same config, settings and corpora"
            )


def newest_whole(checkpoints: Checkpoints, place: Place, warnings: list[str], own: bool = True) -> Path:
    """The newest checkpoint that every host finds whole. Collective.

    A damaged one is named in ``warnings``, and put aside if the run is our own. Having some, but none whole, is an
    error, now and the next time: silence would restart a long run. Rank 0 says which checkpoints there are; the first
    rank of each host verifies them on its own view of the disk.
    """
    damaged: dict[int, str] = {}
    for step in from_first(checkpoints.steps()[::-1], place):
        damage = _damage(checkpoints.path(step), place)
        if damage is None:
            warnings += [f"warning: {text}" for text in damaged.values()]
            if own and place.is_first:
                for other in damaged:
                    checkpoints.put_aside(other)
            return checkpoints.path(step)
        damaged[step] = f"step-{step} is damaged and was passed over ({damage})"
    problems = "; ".join(damaged.values())
    raise PolymeraseError(
        f"{checkpoints.folder}: no checkpoint is whole: {problems}; use another run.dir to start anew"
    )


def _named(path: Path, place: Place, warnings: list[str]) -> Path:
    """The checkpoint that ``--resume PATH`` means."""
    if from_first((path / "checkpoints").is_dir(), place):
        if not from_first(Checkpoints(path).steps(), place):
            raise PolymeraseError(f"--resume {path}: the run has no checkpoint")
        return newest_whole(Checkpoints(path), place, warnings, own=False)
    if not from_first(path.is_dir(), place):
        raise PolymeraseError(f"--resume {path}: no such run or checkpoint folder")
    damage = _damage(path, place)
    if damage is not None:
        raise PolymeraseError(f"--resume {path}: {damage}")
    return path


def _damage(folder: Path, place: Place) -> str | None:
    """What is wrong with a checkpoint, on any host. Collective."""
    found = None
    if place.local_rank == 0:
        try:
            verify(folder)
        except DamagedError as damage:
            found = str(damage)
            if not folder.is_dir():
                found = (
                    f"{folder} is not visible on {socket.gethostname()}; run.dir must be on a disk that all hosts share"
                )
    return next((damage for damage in from_all(found, place) if damage is not None), None)
