"""Memory of the process on the host: what it holds, and giving back what it only keeps for later.

Batches of other lengths in every step leave holes in the C library's heap, which it keeps; after some minutes on a CPU
they are more than the tensors. Handing the pages back takes milliseconds, but the next step fetches what it needs, a
fault a page: a tenth of a second for 200 MB. So it is done when the process has grown, and not in every short step.
"""

from __future__ import annotations

import ctypes
import math
import time
from functools import cache
from typing import Any

_GROWN = 1.2  # times what was held after the last time
_EVERY_S = 2.0  # at most; of the laptop proof a hand-back costs about a tenth of a second, a twentieth of that


class Heap:
    """The C library's heap over the steps of a run."""

    def __init__(self) -> None:
        self._held = 0
        self._when = -math.inf

    def bound(self) -> None:
        """After a step: hand free pages back if the process holds a fifth more than it did after the last time."""
        if time.monotonic() - self._when >= _EVERY_S and resident_bytes() > _GROWN * self._held:
            give_back()
            self._held = resident_bytes()
            self._when = time.monotonic()


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
