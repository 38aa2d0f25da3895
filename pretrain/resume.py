"""Where a run starts: at the beginning, at its own newest whole checkpoint, or at one that is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from pretrain.assembly import Parts
from pretrain.checkpoint import (
    OPTIMIZER,
    WEIGHTS,
    Checkpoints,
    DamagedError,
    find_checkpoint,
    read_state,
    read_tensors,
    verify,
)
from pretrain.distributed import Place, agree
from pretrain.errors import PolymeraseError
from pretrain.identity import check_same, identity


@dataclass(frozen=True)
class Start:
    """Everything needed to go on. Rank, world size and ZeRO stage are not part of it."""

    step: int
    position: int  # in the stream of samples
    micro_batches_per_step: int
    message: str
    weights: dict[str, Tensor] | None = None
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    updates: int = 0
    tracking_run: str | None = None


def find_start(parts: Parts, place: Place, run_dir: Path, resume: str, allow_change: list[str]) -> Start:
    """Decide on rank 0's view of the disk, verified by every rank. Collective.

    ``auto`` takes the newest whole checkpoint of the run folder if there is one, and says so when a newer one is
    damaged. ``never`` refuses a run folder that has checkpoints. Anything else is a run or checkpoint folder to
    continue from, and an error if it has no whole checkpoint.
    """
    problem, start = None, None
    try:
        start = _find(parts, place, run_dir, resume, allow_change)
    except PolymeraseError as error:
        problem = str(error)
    agree(problem, place)
    assert start is not None
    return start


def _find(parts: Parts, place: Place, run_dir: Path, resume: str, allow_change: list[str]) -> Start:
    if resume == "never" and Checkpoints(run_dir).steps():
        raise PolymeraseError(f"{run_dir} has checkpoints already; use --resume auto, or another run.dir")
    warnings: list[str] = []
    folder = _named(Path(resume)) if resume not in ("auto", "never") else _newest(run_dir, warnings)
    if folder is None:
        own = parts.config.batch
        count = own.micro_batches_per_step or own.accumulation * place.world_size
        return Start(0, 0, count, f"starting {run_dir} at step 0")
    state = read_state(folder)
    allowed = check_same(state["identity"], identity(parts), allow_change, str(folder))
    notes = [*warnings, *(f"allowed change: {change}" for change in allowed)]
    return Start(
        step=state["step"],
        position=state["position"],
        micro_batches_per_step=state["micro_batches_per_step"],
        message="; ".join([*notes, f"resuming {folder} at step {state['step']}"]),
        weights=read_tensors(folder, WEIGHTS),
        optimizer=read_tensors(folder, OPTIMIZER),
        updates=state["updates"],
        tracking_run=state["tracking_run"],
    )


def _newest(run_dir: Path, warnings: list[str]) -> Path | None:
    """The newest whole checkpoint. Having some, but none whole, is an error: silence would restart a long run."""
    checkpoints = Checkpoints(run_dir)
    for step, damage in checkpoints.whole():
        if damage is None:
            return checkpoints.path(step)
        warnings.append(f"warning: step-{step} is damaged and was passed over ({damage})")
    if warnings:
        raise PolymeraseError(
            f"{run_dir}: no checkpoint is whole: {'; '.join(warnings)}; use another run.dir to start anew"
        )
    return None


def _named(path: Path) -> Path:
    if (path / "checkpoints").is_dir():
        return find_checkpoint(path)
    if not path.is_dir():
        raise PolymeraseError(f"--resume {path}: no such run or checkpoint folder")
    try:
        verify(path)
    except DamagedError as damage:
        raise PolymeraseError(f"--resume {path}: {damage}") from None
    return path
