"""How a planned run would start: at which step, by which command, and whether its step is the recipe's."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from pretrain.config import Config, load_config
from pretrain.distributed.context import DistributedContext
from pretrain.errors import PolymeraseError
from pretrain.families import Family
from pretrain.models import ModelSettings
from pretrain.training.components import RunComponents
from pretrain.training.resume import ResumePoint, find_resume_point

_RANKS_PER_NODE = 8


def starting_point(components: RunComponents, resume: str, allow_change: list[str]) -> ResumePoint:
    """Where the run would begin. Nothing is written.

    Raises:
        PolymeraseError: its folder cannot be made or written, or its checkpoints do not fit this run.
    """
    run_dir = Path(str(components.config.run.dir))
    there = next(folder for folder in (run_dir, *run_dir.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise PolymeraseError(f"run.dir: {there}: expected a folder, got a file; give another run.dir")
    if not os.access(there, os.W_OK):
        raise PolymeraseError(f"run.dir: {there} is not writable; give another run.dir")
    alone = DistributedContext(0, 0, 1, torch.device("cpu"))
    return find_resume_point(components, alone, run_dir, resume, allow_change, puts_aside=False)


def launch_command(words: Sequence[str], ranks: int) -> str:
    """The command that starts the planned run on this many ranks, as a user types it.

    Args:
        words: of the command line, without the options of a dry run.
        ranks: one per device. More than eight are laid out over nodes of equally many.
    """
    installed = Path(sys.argv[0]).name == "polymerase"
    script = ["--module", "pretrain.cli.pretrain"] if installed else ["launch/pretrain.py"]
    if ranks == 1:
        start = ["polymerase", "pretrain"] if installed else ["python", *script]
    elif ranks <= _RANKS_PER_NODE:
        start = ["deepspeed", "--num_gpus", str(ranks), *script]
    else:
        per_node = next(count for count in range(_RANKS_PER_NODE, 0, -1) if ranks % count == 0)
        start = ["deepspeed", "--hostfile", "HOSTFILE", *script] if installed else [
            "sbatch", f"--nodes={ranks // per_node}", f"--ntasks-per-node={per_node}", f"--gpus-per-node={per_node}",
            "launch/slurm.sh",
        ]  # fmt: skip
    return shlex.join([*start, *words])


def step_notes(config: Config, family: Family, settings: ModelSettings, micro_batches: int, ranks: int) -> list[str]:
    """How a step of this run differs from one of the published recipe, and turns of ranks that stay empty.

    Models of other sizes than the published one have no step to keep to.
    """
    found = []
    if empty := -micro_batches % ranks:
        found.append(
            f"{micro_batches} micro-batches per step on {ranks} ranks: {empty} of {micro_batches + empty} slots "
            "stay empty"
        )
    if family.recipe_ranks is None or settings != family.settings:
        return found
    tokenizer_file = f"model.tokenizer_file={config.model.tokenizer_file}"
    recipe = load_config(f"{family.recipe}.yaml", [tokenizer_file] if config.model.tokenizer_file else [])
    for unit in ("tokens", "sequences"):
        bound, published = getattr(config.batch, unit), getattr(recipe.batch, unit)
        if bound is None or published is None:
            continue
        here, there = bound * micro_batches, published * recipe.batch.accumulation * family.recipe_ranks
        if here != there:
            nearest = max(1, round(there / bound))
            found.append(
                f"a step holds up to {here:,} {unit}, and in the recipe {there:,} ({family.recipe}.yaml on "
                f"{family.recipe_ranks} GPUs); batch.micro_batches_per_step={nearest} is the nearest"
            )
    return found
