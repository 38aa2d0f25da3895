"""Memory of the process on the host: what it holds, and giving back what it only keeps for later.

Batches of other lengths in every step leave holes in the C library's heap, which it keeps; after some minutes on a CPU
they are more than the tensors. Handing the pages back takes milliseconds, but the next step fetches what it needs,
a fault a page: a tenth of a second for 200 MB. So it is done when the process has grown beyond what its steps take.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

_GROWN = 1.1  # times what the steps take
_STEPS = 8  # of different lengths, to see what they take


class Heap:
    """The C library's heap over the steps of a run."""

    def __init__(self) -> None:
        self._watched = _STEPS  # nothing yet: the first step hands back what starting left
        self._taken = 0  # bytes, the most that was held after one of the watched steps

    def bound(self) -> None:
        """After a step: hand free pages back if the process holds a tenth more than after the steps that were watched.

        Watched are the steps that follow after pages were handed back.
        """
        held = resident_bytes()
        if self._watched < _STEPS:
            self._taken = max(self._taken, held)
            self._watched += 1
        elif held > _GROWN * self._taken:
            give_back()
            self._watched = self._taken = 0


def give_back() -> None:
    """Hand free pages of the heap back to the system, where the C library can (glibc)."""
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library, or another system
        return None


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    import psutil

    return int(psutil.Process().memory_info().rss)
