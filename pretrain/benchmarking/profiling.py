"""Time of one step, operation by operation, with torch's profiler."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

SHOWN = 0.01  # share of the step from which an operation has a line of its own
KINDS = {  # kind -> names of operations of a CPU and of kernels of a GPU
    "communication": r"c10d|nccl|gloo",
    "matrix product": r"^aten::(mm|addmm|bmm|baddbmm|linear|mkldnn_linear)$|gemm|nvjet",
    "attention": r"softmax|attention|flash|fmha|^(forward|add_product|backward_queries|backward_keys)$",
}


def operations(step: Callable[[], object], device: torch.device) -> list[dict[str, Any]]:
    """List operations of one step by their own time, the largest first: operation, kind, share, milliseconds, calls.

    Own time excludes operations called inside: it is that of kernels on a GPU and of the host's operations on a CPU.
    The kind of everything without another one is reading and writing memory. The last rows sum up small operations of
    each kind.
    """
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        step()
        if on_gpu:
            torch.cuda.synchronize(device)
    times = [
        (event.key, event.self_device_time_total if on_gpu else event.self_cpu_time_total, event.count)
        for event in profiler.key_averages()
    ]
    total = sum(time for _, time, _ in times)
    times.sort(key=lambda row: -row[1])
    shown = [(kind(name), name, time, count) for name, time, count in times if time >= SHOWN * total]
    rest = times[len(shown) :]
    for group in (*KINDS, "memory"):
        small = [(time, count) for name, time, count in rest if kind(name) == group]
        shown.append((group, f"{len(small)} others", sum(t for t, _ in small), sum(count for _, count in small)))
    return [
        {"operation": name, "kind": group, "share": time / total, "ms": time / 1e3, "calls": count}
        for group, name, time, count in shown
    ]


def kind(operation: str) -> str:
    """Return the kind of an operation: matrix product, attention, communication, or everything else."""
    return next((name for name, names in KINDS.items() if re.search(names, operation)), "memory")
