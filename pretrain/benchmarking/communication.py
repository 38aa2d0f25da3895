"""Time that computing waits for other ranks: the collectives of DeepSpeed, timed where they are called.

All of them go through the methods of one object, so those are timed and nothing else is touched. DeepSpeed's own
communication log waits for the device at every call, which would slow down what it measures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pretrain.benchmarking.hardware import Stopwatch

PHASE = "communication"
COLLECTIVES = (
    *("all_reduce", "all_reduce_coalesced", "reduce", "reduce_scatter", "reduce_scatter_tensor", "broadcast"),
    *("all_gather", "all_gather_into_tensor", "all_gather_coalesced", "all_to_all", "all_to_all_single"),
    *("gather", "scatter", "send", "recv", "barrier"),
)


def watch_collectives(watch: Stopwatch) -> None:
    """Count time in collectives for a phase of its own from now on, not for the one in which they are called.

    On a GPU that is the time that the computing stream waits for them: communication that overlaps costs nothing.
    """
    from deepspeed.comm import comm

    for name in COLLECTIVES:
        setattr(comm.cdb, name, _timed(getattr(comm.cdb, name), watch))


def _timed(call: Callable[..., Any], watch: Stopwatch) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        if watch.looks_elsewhere():
            return call(*args, **kwargs)
        phase = watch.enter(PHASE)
        try:
            work = call(*args, **kwargs)
        finally:
            watch.enter(phase)
        return _TimedWork(work, watch) if hasattr(work, "wait") else work

    return timed


class _TimedWork:
    """The handle of a collective that goes on in the background: waiting for it counts as well."""

    def __init__(self, work: Any, watch: Stopwatch):
        self._work = work
        self.wait = _timed(work.wait, watch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)
