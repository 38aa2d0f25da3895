"""Which back-end of attention is faster on this CPU: measured once for each machine and kind of head, then kept.

No rule says it: torch's fused kernel compiles for every new shape, and training has new shapes in every step; ours is
made of plain products. Both are timed forwards and backwards on blocks of lengths that they have not seen, a second or
two in all. The first process that measures decides for all that come after (``POLYMERASE_CACHE``, by default
``~/.cache/polymerase``), so that a run that is started again goes on in the same bits.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from pretrain.models.layout import Layout

Run = Callable[[Tensor, Tensor, Tensor, Layout], Tensor]
_HEADS, _ROUNDS, _SEQUENCES, _LAYERS = 4, 3, 12, 3
_EDITION = "2"  # of the code that is timed: with another one machines measure again
_LOCATION = "POLYMERASE_CACHE"


def faster(
    candidates: Mapping[str, Run], dtype: torch.dtype, head_size: int, kind: str, heads: int | None = None
) -> str:
    """The fastest of these back-ends for heads of a size; the first one where nothing can be timed (fake tensors).

    Args:
        candidates: name -> attention of q, k, v (N, H, h).
        dtype: of q, k and v.
        head_size: h.
        kind: what else decides, such as the bias.
        heads: H, where the bias has as many; None: any.
    """
    if _get_current_dispatch_mode() is not None:
        return next(iter(candidates))
    heads = heads or _HEADS
    sizes = str(heads), str(head_size), str(torch.get_num_threads())
    key = (_EDITION, *candidates, str(dtype), kind, *sizes, torch.__version__, _processor())
    if key not in _decided:
        _decided[key] = _kept(key) or _keep(key, _times(candidates, dtype, heads, head_size))
    return _decided[key]


_decided: dict[tuple[str, ...], str] = {}


@cache
def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _times(candidates: Mapping[str, Run], dtype: torch.dtype, heads: int, head_size: int) -> dict[str, float]:
    """Seconds of CPU of each, in turns. CPU time, not wall time: a busy neighbor must not decide."""
    generator = torch.Generator().manual_seed(0)  # the run's own random numbers stay as they are
    seconds = dict.fromkeys(candidates, 0.0)
    with torch.enable_grad(), torch.autocast("cpu", enabled=False):
        for turn in range(_ROUNDS + 1):
            lengths = [40 + 11 * n + 3 * turn for n in range(_SEQUENCES)]
            shape = (3, sum(lengths), heads, head_size)
            values = torch.randn(shape, generator=generator).to(dtype)
            for name, run in candidates.items():
                q, k, v = (x.clone().requires_grad_() for x in values)
                layout = Layout.build(lengths, padding=0.1, device="cpu")  # what is made for all layers is timed
                start = time.process_time()
                for _ in range(_LAYERS):
                    v = run(q, k, v, layout)
                v.sum().backward()
                if turn:  # the first turn loads what is loaded once
                    seconds[name] += time.process_time() - start
    return seconds


def _file(key: tuple[str, ...]) -> Path:
    folder = Path(os.environ.get(_LOCATION) or Path.home() / ".cache" / "polymerase")
    return folder / f"attention-{hashlib.sha256(' '.join(key).encode()).hexdigest()[:16]}.json"


def _kept(key: tuple[str, ...]) -> str | None:
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # none, damaged, or no home
        content = json.loads(_file(key).read_text(encoding="utf-8"))
        seconds = content.get("seconds") if isinstance(content, dict) else None
        if isinstance(seconds, dict) and seconds and all(isinstance(value, float) for value in seconds.values()):
            return min(seconds, key=lambda name: seconds[name])
    return None


def _keep(key: tuple[str, ...], seconds: dict[str, float]) -> str:
    """Write what was measured unless another process was first; what stands in the file counts."""
    with contextlib.suppress(OSError, RuntimeError):  # nowhere to write: every process measures for itself
        path = _file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8") as file:
            json.dump({"of": key, "seconds": seconds}, file, indent=1)
            file.flush()
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)
    return _kept(key) or min(seconds, key=lambda name: seconds[name])
