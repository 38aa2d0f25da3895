"""What the measurements run on: device, clock, memory, and the rate that a matrix product reaches."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path

import torch

# dense peak of tensor cores, FLOP/s, by part of the device's name and bytes of a number (vendor data sheets)
PEAK_FLOPS = {
    ("H200", 2): 989e12,
    ("H100", 2): 989e12,
    ("A100", 2): 312e12,
    ("A100", 4): 156e12,  # TF32
}


def describe(device: torch.device) -> dict[str, str | int]:
    """Device, threads and versions, for the head of a table."""
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
    """FLOP/s that utilisation is a share of, and where the number is from: the data sheet, or a matrix product here."""
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
    best = float("inf")
    for _ in range(5):
        watch = Stopwatch(device)
        watch.mark()
        a @ b
        watch.mark()
        best = min(best, watch.seconds()[0])
    return 2 * size**3 / best


class Stopwatch:
    """Times between marks on the device's own clock. Marking never waits for the device; reading waits once."""

    def __init__(self, device: torch.device):
        self._cuda = device.type == "cuda"
        self._marks: list = []

    def mark(self) -> None:
        """Now."""
        if self._cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Seconds between neighbouring marks."""
        pairs = list(zip(self._marks, self._marks[1:], strict=False))
        if self._cuda:
            self._marks[-1].synchronize()
            return [start.elapsed_time(end) / 1e3 for start, end in pairs]
        return [end - start for start, end in pairs]


class MemoryMeter:
    """Peak memory since the meter was made: what CUDA's allocator handed out, or growth of the process on a CPU."""

    def __init__(self, device: torch.device):
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            _forget_peak()
        self._before = 0 if device.type == "cuda" else _status_bytes("VmRSS")

    def peak_bytes(self) -> int:
        """Weights, optimiser state and activations together."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return _status_bytes("VmHWM") - self._before

    def now_bytes(self) -> int:
        """Held at this moment; between steps that is weights and optimiser state."""
        if self._device.type == "cuda":
            return torch.cuda.memory_allocated(self._device)
        return _status_bytes("VmRSS") - self._before


def _forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # the peak then includes start-up
        return


def _status_bytes(field: str) -> int:
    found = re.search(rf"{field}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found.group(1)) * 1024 if found else 0
