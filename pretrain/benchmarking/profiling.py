"""Where the time of one step goes, operation by operation, with torch's profiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

SHOWN = 0.01  # share of the step from which an operation has a line of its own
KINDS = {
    "matrix product": ("mm", "addmm", "bmm", "baddbmm", "linear", "mkldnn_linear", "gemm", "nvjet"),
    "attention": (
        "softmax",
        "attention",
        "flash",
        "fmha",
        "forward",
        "backward_queries",
        "backward_keys",
        "add_product",
    ),
}


def operations(step: Callable[[], object], device: torch.device) -> list[dict[str, Any]]:
    """Operations of one step by their own time, the largest first: operation, kind, share, milliseconds, calls.

    Own time is that without operations called inside: of kernels on a GPU, of the host's operations on a CPU. What is
    no matrix product and no attention reads and writes memory, one value after another. The last row sums up the rest.
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
    shown = [row for row in times if row[1] >= SHOWN * total]
    rest = times[len(shown) :]
    shown.append((f"{len(rest)} others", sum(time for _, time, _ in rest), sum(count for _, _, count in rest)))
    return [
        {"operation": name, "kind": kind(name), "share": time / total, "ms": time / 1e3, "calls": count}
        for name, time, count in shown
    ]


def kind(operation: str) -> str:
    """Matrix product, attention, or everything else."""
    words = operation.removeprefix("aten::").lower()
    for name, parts in KINDS.items():
        if words in parts or any(len(part) > 4 and part in words for part in parts):
            return name
    return "memory"
