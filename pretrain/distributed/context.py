"""Rank, world size and device of this process, and the process group that the ranks communicate through."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from pretrain.distributed.heartbeat import HeartbeatMonitor
from pretrain.distributed.launchers import missing_srun, set_rank_environment
from pretrain.errors import PolymeraseError, RunError

T = TypeVar("T")
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class DistributedContext:
    """Rank, device and process groups of this process."""

    rank: int
    local_rank: int
    world_size: int
    device: torch.device
    control: dist.ProcessGroup | None = None  # host-side group for counts and flags: no device waits for it
    heartbeat: HeartbeatMonitor | None = None  # with more than one rank

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which writes, logs and reports."""
        return self.rank == 0


def check_device(precision: str, require_gpu: bool) -> None:
    """Refuse what the devices of this host do not have, before ranks wait for each other.

    Args:
        precision: ``engine.precision``.
        require_gpu: ``engine.require_gpu``.

    Raises:
        PolymeraseError: names the key and what to set instead.
    """
    _check_gpu(require_gpu)
    gpu = torch.cuda.is_available()
    if precision == "fp16" and not gpu:
        raise PolymeraseError(
            "engine.precision=fp16 needs a GPU, and this host has none; set engine.precision=bf16 or fp32, "
            "or check the driver and CUDA_VISIBLE_DEVICES"
        )
    if precision == "bf16" and gpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        name = torch.cuda.get_device_name()
        raise PolymeraseError(f"engine.precision=bf16: {name} does not compute in bf16; set engine.precision=fp16")


def _check_gpu(required: bool) -> None:
    if required and not torch.cuda.is_available():
        raise PolymeraseError(
            "engine.require_gpu is set, but no GPU is visible; check the driver and CUDA_VISIBLE_DEVICES"
        )


_QUIET_S = 15  # ranks start at different times; nobody wants to hear of a few seconds


def _say_who_is_waited_for(where: str, rank: int, world_size: int) -> Callable[[], None]:
    """Have rank 0 say when the others take long, at once if they cannot come. Call the result when all are there."""
    advice = missing_srun()

    def say() -> None:
        line = f"rank {rank} waits for {world_size - 1} more ranks at {where}"
        print(f"note: {line}{f'; {advice}' if advice else ''}", file=sys.stderr, flush=True)

    timer = threading.Timer(0.0 if advice else _QUIET_S, say)
    timer.daemon = True
    if rank == 0 and world_size > 1:
        timer.start()
    return timer.cancel


def init_distributed(
    timeout_s: int, require_gpu: bool, lost_rank_s: int = 120, interface: str | None = None, port: int | None = None
) -> DistributedContext:
    """Open the process group (NCCL on GPUs, gloo on CPU) and return the context of this rank.

    The arguments are the keys of the ``engine`` section.

    Raises:
        PolymeraseError: no GPU is visible and ``require_gpu`` is set.
        RunError: not all ranks came within ``timeout_s``.
    """
    set_rank_environment(port)
    if interface is not None:  # a variable that is set on one host knows better than a config for all
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
    rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    _check_gpu(require_gpu)
    gpu = torch.cuda.is_available()
    if not gpu:
        quiet_cpu_deepspeed()
        _share_cores()
    timeout = timedelta(seconds=timeout_s)
    # groups that DeepSpeed opens later take torch's defaults, not the argument of init_distributed (table 0, line 9)
    dist.distributed_c10d.default_pg_timeout = timeout
    if gpu:
        dist.distributed_c10d.default_pg_nccl_timeout = timeout  # type: ignore[attr-defined]
        torch.cuda.set_device(local_rank)
    device = torch.device("cuda", local_rank) if gpu else torch.device("cpu")
    world_size = int(os.environ["WORLD_SIZE"])
    where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    all_here = _say_who_is_waited_for(where, rank, world_size)
    try:
        control = _open_groups(gpu, timeout)
        heartbeat = HeartbeatMonitor(rank, world_size, lost_rank_s) if world_size > 1 else None
    except RuntimeError as error:
        advice = missing_srun()
        raise RunError(
            f"not all {world_size} ranks came together at {where}, where one waits {timeout_s} s (engine.timeout_s); "
            f"rank {rank} on {socket.gethostname()} saw: {str(error).splitlines()[0]}"
            + (f"; {advice}" if advice else "")
        ) from None
    finally:
        all_here()
    return DistributedContext(rank, local_rank, world_size, device, control, heartbeat)


def _open_groups(gpu: bool, timeout: timedelta) -> dist.ProcessGroup | None:
    """The group of devices, and the one of hosts, which is returned."""
    import deepspeed

    deepspeed.init_distributed("nccl" if gpu else "gloo", timeout=timeout, verbose=False)
    return dist.new_group(backend="gloo", timeout=timeout) if gpu else dist.group.WORLD


def sum_over_ranks(values: list[Number], dist_context: DistributedContext) -> list[Number]:
    """Sum elementwise over ranks: in int64, or in float64 if the list holds floats (the same on every rank)."""
    if dist_context.world_size == 1:
        return values
    floats = any(isinstance(value, float) for value in values)
    total = torch.tensor(values, dtype=torch.float64 if floats else torch.int64)
    dist.all_reduce(total, group=dist_context.control)
    return total.tolist()


def sum_tensor_over_ranks(values: torch.Tensor, dist_context: DistributedContext) -> torch.Tensor:
    """Sum elementwise over ranks, in place, on the device."""
    if dist_context.world_size > 1:
        dist.all_reduce(values)
    return values


def barrier(dist_context: DistributedContext) -> None:
    """Wait for every rank, on the host."""
    if dist_context.world_size > 1:
        dist.barrier(group=dist_context.control)


def all_gather_object(value: T, dist_context: DistributedContext) -> list[T]:
    """Return the value of every rank, by rank."""
    values = [value] * dist_context.world_size
    if dist_context.world_size > 1:
        dist.all_gather_object(values, value, group=dist_context.control)
    return values


def broadcast_object(value: T, dist_context: DistributedContext) -> T:
    """Return rank 0's value on every rank."""
    values = [value]
    if dist_context.world_size > 1:
        dist.broadcast_object_list(values, src=0, group=dist_context.control)
    return values[0]


def raise_on_any_rank(
    problem: str | None, dist_context: DistributedContext, error: type[PolymeraseError] = PolymeraseError
) -> None:
    """Raise the first rank's problem on every rank, or go on everywhere: no rank waits for one that has given up."""
    found = all_gather_object(None if problem is None else (problem, socket.gethostname()), dist_context)
    for rank, case in enumerate(found):
        if case is not None:
            raise error(case[0] if None not in found else f"{case[0]} (rank {rank} on {case[1]})")


def _share_cores() -> None:
    """Divide the cores among the ranks of a machine: each would take all of them and wait for the others' threads."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ["LOCAL_SIZE"])))


def quiet_cpu_deepspeed() -> None:
    """Keep DeepSpeed from compiling its shared-memory op, which training never uses.

    It would leave 66 MiB per rank in /dev/shm for ever (recipes/deepspeed.md#shared-memory).
    """
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
