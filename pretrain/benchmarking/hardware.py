"""The hardware of a measurement: device, clock, memory, and the rate of a matrix product."""

from __future__ import annotations

import gc
import os
import platform
import re
import time
from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

# dense peak of tensor cores, FLOP/s, by part of the device's name and bytes of a number (vendor data sheets)
PEAK_FLOPS = {
    ("H200", 2): 989e12,
    ("H100", 2): 989e12,
    ("A100", 2): 312e12,
    ("A100", 4): 156e12,  # TF32
}


def describe(device: torch.device) -> dict[str, str | int]:
    """Return device, threads and versions, for the head of a table."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count() or 1,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return f"CPU {found.group(1)}" if found else f"CPU {platform.machine()}"


def peak_flops(device: torch.device, dtype: torch.dtype) -> tuple[float, str]:
    """Return the FLOP/s that utilization refers to, and their source: the data sheet, or a matrix product here."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for (part, size), flops in PEAK_FLOPS.items():
            if part in name and size == dtype.itemsize:
                return flops, "data sheet, dense"
    return _matmul_flops(device, dtype), "measured: square matrix product"


def _matmul_flops(device: torch.device, dtype: torch.dtype) -> float:
    """The best of five products."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    best, watch = float("inf"), Stopwatch(device)
    for _ in range(5):
        watch.enter("product")
        a @ b
        watch.enter("")
        best = min(best, watch.seconds()["product"])
    return 2 * size**3 / best


class Stopwatch:
    """Time by phase on the device's own clock. Changing phases never waits for the device; reading waits once."""

    def __init__(self, device: torch.device):
        self._stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
        self._phase = ""
        self._marks: list[tuple[str, Any]] = []

    def enter(self, phase: str) -> str:
        """Start a phase, "" for none; returns the one before."""
        before, self._phase = self._phase, phase
        if self._stream is not None:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append((phase, event))
        else:
            self._marks.append((phase, time.perf_counter()))
        return before

    def looks_elsewhere(self) -> bool:
        """Tell whether this thread now feeds a stream of the GPU that is not the one watched."""
        return self._stream is not None and torch.cuda.current_stream() != self._stream

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each phase since the last reading."""
        marks, self._marks = self._marks, []
        if self._stream is not None:
            marks[-1][1].synchronize()
        result: dict[str, float] = {}
        for (phase, start), (_, end) in pairwise(marks):
            spent = start.elapsed_time(end) / 1e3 if self._stream is not None else end - start
            result[phase] = result.get(phase, 0.0) + spent
        return result


def peak_bytes(step: Callable[[], object], device: torch.device) -> int:
    """Return the peak memory of tensors during ``step``, weights and optimizer state included.

    On a CPU it is counted from the allocations that the profiler sees, not from the size of the process, because what
    the C library keeps for later use depends on the order of sizes more than on the need.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return torch.cuda.max_memory_allocated(device)
    held = live_bytes()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    assert profiler.profiler is not None
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = (event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return held + max(accumulate(changes), default=0)


_WITH_MEMORY = (torch.Tensor, torch.nn.Parameter)  # other classes stand in for tensors, as while a graph is captured


def live_bytes() -> int:
    """Return the bytes of all tensors of this process on the CPU, each storage once."""
    storages: dict[int, int] = {}
    for thing in gc.get_objects():
        if type(thing) in _WITH_MEMORY and thing.device.type == "cpu":
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())
