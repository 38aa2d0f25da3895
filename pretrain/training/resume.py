"""The start of a run: step 0, its own newest whole checkpoint, or a named one."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretrain.config import Config, RunPhase, phases_of
from pretrain.config.phases import phase_at, phase_of_checkpoint
from pretrain.distributed.context import DistributedContext, all_gather_object, broadcast_object, raise_on_any_rank
from pretrain.errors import PolymeraseError
from pretrain.runs.checkpoint import Checkpoints, DamagedError, read_state, verify
from pretrain.training.compatibility import check_compatible, run_signature, signature_of_today
from pretrain.training.components import RunComponents


@dataclass(frozen=True)
class ResumePoint:
    """Everything needed to continue. Rank, world size and ZeRO stage are not part of it.

    Attributes:
        phase: that is to be trained.
        micro_batches_per_step: in that phase.
        ranks_at_start: of the run's first start.
        folder: checkpoint to continue from; None at the very beginning.
        state: its ``train_state.json``.
    """

    phase: RunPhase
    micro_batches_per_step: int
    ranks_at_start: int
    message: str
    folder: Path | None = None
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """Optimizer steps done; 0 at the very beginning."""
        return self.state.get("step", 0)

    @property
    def position(self) -> int:
        """Position in the stream of samples."""
        return self.state.get("position", 0)


def find_resume_point(
    components: RunComponents,
    dist_context: DistributedContext,
    run_dir: Path,
    resume: str,
    allow_change: list[str],
    puts_aside: bool = True,
) -> ResumePoint:
    """Decide where to start; the same on every rank. Collective.

    Ranks whose configs or corpora differ are refused: they would train different runs.

    ``auto`` takes the newest whole checkpoint of the run folder if there is one, and says so when a newer one is
    damaged. ``never`` refuses a run folder that has checkpoints. Anything else is a run or checkpoint folder to
    continue from, and an error if it has no whole checkpoint.

    ``puts_aside`` renames damaged checkpoints of the run, so that they are not looked at again.

    Raises:
        PolymeraseError: the checkpoints do not fit this run, or none of them is whole.
    """
    _check_alike(components, dist_context)
    checkpoints = Checkpoints(run_dir)
    warnings: list[str] = []
    if resume in ("auto", "never"):
        there = broadcast_object(bool(checkpoints.steps()), dist_context)
        if there and resume == "never":
            raise PolymeraseError(f"{run_dir} already has checkpoints; use --resume auto, or another run.dir")
        folder = newest_whole(checkpoints, dist_context, warnings, puts_aside) if there else None
    else:
        folder = _named(Path(resume), dist_context, warnings)
    phases = phases_of(components.config)
    if folder is None:
        count = micro_batches_of(phases[0], dist_context.world_size)
        return ResumePoint(phases[0], count, dist_context.world_size, f"starting {run_dir} at step 0")
    state, problem = {}, None
    try:
        state = read_state(folder)
        written_in = components.of_phase(phase_of_checkpoint(phases, state["step"]))
        before = signature_of_today(state["identity"], written_in)
        changes = check_compatible(before, run_signature(written_in), allow_change, str(folder))
        changes += _check_micro_batches(state["micro_batches_per_step"], written_in.config, allow_change, folder)
        warnings += [f"allowed change: {change}" for change in changes]
    except PolymeraseError as error:
        problem = str(error)
    raise_on_any_rank(problem, dist_context)
    phase, batch = phase_at(phases, state["step"]), written_in.config.batch
    # checkpoints of older versions do not say how many ranks there were
    ranks = state.get("ranks_at_start") or max(1, state["micro_batches_per_step"] // batch.accumulation)
    if phase.starts_at(state["step"]):
        count = micro_batches_of(phase, ranks)
    else:
        count = batch.micro_batches_per_step or state["micro_batches_per_step"]
    if empty := -count % dist_context.world_size:
        warnings.append(
            f"note: {count} micro-batches per step, as before, on {dist_context.world_size} ranks: "
            f"{empty} of {count + empty} slots stay empty"
        )
    message = "; ".join([*warnings, f"resuming {folder} at step {state['step']}"])
    return ResumePoint(phase, count, ranks, message, folder, state)


def micro_batches_of(phase: RunPhase, ranks: int) -> int:
    """Micro-batches of one step of a phase, of a run that was first started with so many ranks."""
    return phase.config.batch.micro_batches_per_step or phase.config.batch.accumulation * ranks


def _check_micro_batches(before: int, config: Config, allow_change: list[str], folder: Path) -> list[str]:
    """Keep the checkpoint's micro-batches per step, and so its global batches, without ``--allow-change batch``."""
    now = config.batch.micro_batches_per_step
    if now in (None, before):
        return []
    what = f"batch.micro_batches_per_step was {before} and is now {now}"
    if "batch" not in allow_change:
        raise PolymeraseError(f"{folder}: {what}; leave it out, or pass --allow-change batch")
    return [what]


def _check_alike(components: RunComponents, dist_context: DistributedContext) -> None:
    """Compare the inputs of all ranks. Folders and interfaces may have other names on other hosts. Collective."""
    names = {"run": {"dir"}, "corpus": {"path", "extra"}, "model": {"init_from"}, "engine": {"interface", "deepspeed"}}
    mine = components.config.model_dump(mode="json", exclude=names) | {
        "content of the corpora": [corpus.fingerprint for corpus in components.corpora]
    }
    first, *others = all_gather_object((socket.gethostname(), mine), dist_context)
    for rank, (host, other) in enumerate(others, 1):
        unlike = [name for name, value in first[1].items() if other[name] != value]
        if unlike:
            raise PolymeraseError(
                f"rank {rank} on {host} and rank 0 on {first[0]} have different inputs: {', '.join(unlike)}; "
                "give all hosts the same config, settings and corpora"
            )


def newest_whole(
    checkpoints: Checkpoints, dist_context: DistributedContext, warnings: list[str], own: bool = True
) -> Path:
    """The newest checkpoint that every host finds whole. Collective.

    A damaged one is named in ``warnings``, and put aside if the run is our own. Having some, but none whole, is an
    error, now and the next time: silence would restart a long run. Rank 0 says which checkpoints there are; the first
    rank of each host verifies them on its own view of the disk.
    """
    damaged: dict[int, str] = {}
    for step in broadcast_object(checkpoints.steps()[::-1], dist_context):
        damage = _damage(checkpoints.path(step), dist_context)
        if damage is None:
            warnings += [f"warning: {text}" for text in damaged.values()]
            if own and dist_context.is_first:
                for other in damaged:
                    checkpoints.put_aside(other)
            return checkpoints.path(step)
        damaged[step] = f"step-{step} is damaged and was skipped ({damage})"
    problems = "; ".join(damaged.values())
    raise PolymeraseError(
        f"{checkpoints.folder}: no checkpoint is complete: {problems}; use another run.dir to start over"
    )


def _named(path: Path, dist_context: DistributedContext, warnings: list[str]) -> Path:
    """The checkpoint that ``--resume PATH`` means."""
    if broadcast_object((path / "checkpoints").is_dir(), dist_context):
        if not broadcast_object(Checkpoints(path).steps(), dist_context):
            raise PolymeraseError(f"--resume {path}: the run has no checkpoint")
        return newest_whole(Checkpoints(path), dist_context, warnings, own=False)
    if not broadcast_object(path.is_dir(), dist_context):
        raise PolymeraseError(f"--resume {path}: no such run or checkpoint folder")
    damage = _damage(path, dist_context)
    if damage is not None:
        raise PolymeraseError(f"--resume {path}: {damage}")
    return path


def _damage(folder: Path, dist_context: DistributedContext) -> str | None:
    """What is wrong with a checkpoint, on any host. Collective."""
    found = None
    if dist_context.local_rank == 0:
        try:
            verify(folder)
        except DamagedError as damage:
            found = str(damage)
            if not folder.is_dir():
                found = (
                    f"{folder} is not visible on {socket.gethostname()}; run.dir must be on a disk that all hosts share"
                )
    return next((damage for damage in all_gather_object(found, dist_context) if damage is not None), None)
