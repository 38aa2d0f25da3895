"""Which rank this process is, as its launcher says. No torch here: errors are said before torch is there."""

from __future__ import annotations

import os
import socket
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from pretrain.errors import PolymeraseError

# rank, ranks in all, rank on this host, ranks on this host: as each launcher names them
_NAMES = {
    "deepspeed, torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_SIZE"),
    "mpirun (Open MPI)": (
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    "mpirun (MPICH, Intel MPI)": ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    "srun": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", ""),
}
_JOBS = ("SLURM_JOB_ID", "PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "PMI_JOBID")  # alike on all ranks
_OTHERS = ("CROSS_RANK", "TORCHELASTIC_RUN_ID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")  # launchers inside a SLURM job
_BATCH_STEP = "4294967291"  # number of the batch script among the steps of a SLURM job


@dataclass(frozen=True)
class Place:
    """Of one process among all that were started together."""

    launcher: str
    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_size: int | None = None  # unknown: the launcher does not say


def find_place(env: Mapping[str, str] = os.environ) -> Place:
    """Who this process is. One that no launcher has started, or that is the only one, is rank 0 of 1."""
    for launcher, (rank, size, local_rank, local_size) in _NAMES.items():
        alone = launcher != "deepspeed, torchrun" and int(env.get(size, "1")) < 2
        if rank in env and not alone:
            here = env.get(local_rank, env.get("SLURM_LOCALID", "0"))
            on_host = int(env[local_size]) if local_size in env else None
            return Place(launcher, int(env[rank]), int(env.get(size, "1")), int(here), on_host)
    return Place("none")


def set_rank_environment(port: int | None = None) -> None:
    """Set RANK and its companions where no launcher has.

    ``python launch/pretrain.py``, ``srun python …`` and ``mpirun python …`` then work like ``deepspeed …`` (without
    this DeepSpeed looks for mpi4py; recipes/deepspeed.md#environment-variables).

    Args:
        port: of the rendezvous; without one it follows from the job's name, or is any free one.

    Raises:
        PolymeraseError: ranks on several hosts that nothing tells where to meet.
    """
    env, place = os.environ, find_place()
    if "RANK" not in env:
        env.update(RANK=str(place.rank), WORLD_SIZE=str(place.world_size), LOCAL_RANK=str(place.local_rank))
        if place.local_size is not None:
            env.setdefault("LOCAL_SIZE", str(place.local_size))
        env.setdefault("MASTER_ADDR", _meeting_host(place))
        env.setdefault("MASTER_PORT", str(port or _port(place)))
    env.setdefault("LOCAL_RANK", "0")
    env.setdefault("LOCAL_SIZE", env["WORLD_SIZE"])


def missing_srun() -> str | None:
    """Advice where SLURM announces several tasks to a process that no srun has started; None elsewhere."""
    env = os.environ
    if int(env.get("SLURM_NTASKS", "1")) < 2 or "SLURM_PROCID" not in env or any(name in env for name in _OTHERS):
        return None
    if env.get("SLURM_STEP_ID", env.get("SLURM_STEPID", _BATCH_STEP)) != _BATCH_STEP:
        return None
    return (
        f"this is SLURM's batch step, one process of {env['SLURM_NTASKS']}: start all processes with "
        "srun python launch/pretrain.py ..., or a single process with SLURM_NTASKS=1"
    )


def _meeting_host(place: Place) -> str:
    nodes = os.environ.get("SLURM_JOB_NODELIST")
    if place.world_size > 1 and nodes:
        return _first_host(nodes)
    if place.world_size > 1 and place.local_size != place.world_size:
        raise PolymeraseError(
            f"{place.world_size} ranks by {place.launcher} on several hosts, and MASTER_ADDR is not set; give all "
            "ranks the host of rank 0: mpirun -x MASTER_ADDR=HOST ..., or export it first"
        )
    return "127.0.0.1"


def _port(place: Place) -> int:
    """The same on all ranks; jobs that share a host should not share it."""
    if place.world_size == 1:
        return free_port()
    job = next((os.environ[name] for name in _JOBS if name in os.environ), "0")
    return 20000 + (int(job) if job.isdecimal() else zlib.crc32(job.encode())) % 20000


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _first_host(nodes: str) -> str:
    """``n[03-05,09],m1`` -> ``n03``."""
    head = nodes.split(",", 1)[0]
    if "[" not in head:
        return head
    prefix, inside = head.split("[", 1)
    return prefix + inside.rstrip("]").split("-", 1)[0]
