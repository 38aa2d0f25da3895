"""What the parts of the kit share: the device, sizes, a clock, and where results go."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_prep.corpus.files import write_atomic

TINY = (  # settings of a model that a CPU steps in milliseconds
    "model.hidden_size=32", "model.num_hidden_layers=2", "model.num_attention_heads=4", "model.intermediate_size=64",
)  # fmt: skip


@dataclass
class Bench:
    """One run of the kit.

    Attributes:
        device: what is measured.
        tiny: small sizes, as for a CPU.
        file: of the results in JSON; None: nowhere.
        lines: what was said.
        results: numbers by name.
    """

    device: torch.device
    tiny: bool
    file: Path | None
    lines: list[str] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    @property
    def on_gpu(self) -> bool:
        """Whether there is a stream to wait for, and memory to count."""
        return self.device.type == "cuda"

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.began

    def say(self, line: str) -> None:
        """Print a line, and keep it."""
        self.lines.append(line)
        print(f"[{self.seconds:5.0f} s] {line}", flush=True)

    def note(self, name: str, values: Any) -> None:
        """Keep numbers."""
        self.results[name] = values

    def save(self) -> None:
        """Write what is known."""
        if self.file is not None:
            whole = {"results": self.results, "lines": self.lines}
            write_atomic(self.file, json.dumps(whole, indent=1, default=str).encode() + b"\n")

    def wait(self) -> None:
        """Until the device has done everything."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def free(self) -> None:
        """Give back memory that nobody holds."""
        gc.collect()
        if self.on_gpu:
            torch.cuda.empty_cache()

    def sizes(self, full: Sequence[int], tiny: Sequence[int]) -> list[int]:
        """Lengths of sequences, as the run is."""
        return list(tiny if self.tiny else full)

    def time(self, step: Callable[[], object], *, warm: int = 3, rounds: int = 12, seconds: float = 6.0) -> Timing:
        """Median time of a step on the device and on the host, and the most memory it took."""
        for _ in range(1 if self.tiny else warm):
            step()
        self.wait()
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        on_device, on_host = [], []
        end = time.monotonic() + seconds
        for number in range(2 if self.tiny else rounds):
            if number >= 3 and time.monotonic() > end:
                break
            device_ms, host_ms = self._once(step)
            on_device.append(device_ms)
            on_host.append(host_ms)
        peak = torch.cuda.max_memory_allocated(self.device) if self.on_gpu else 0
        return Timing(float(np.median(on_device)), max(on_device), float(np.median(on_host)), peak / 2**30)

    def _once(self, step: Callable[[], object]) -> tuple[float, float]:
        """Milliseconds between events on the stream, and until the host went on."""
        start = time.perf_counter()
        if not self.on_gpu:
            step()
            spent = (time.perf_counter() - start) * 1e3
            return spent, spent
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        step()
        after.record()
        host = (time.perf_counter() - start) * 1e3
        after.synchronize()
        return before.elapsed_time(after), host


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a step, and GiB."""

    ms: float
    worst_ms: float
    host_ms: float
    peak_gib: float
