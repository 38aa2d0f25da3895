"""Requests to stop: a flag that is read between steps and never lost."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from pretrain.distributed.launchers import find_place

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
EXIT_PREEMPTED = 75  # EX_TEMPFAIL: saved, try again (launch/slurm.sh requeues on it)
_PR_SET_PDEATHSIG = 1
# what only a launcher sets -> its processes above a rank: deepspeed and deepspeed.launcher.launch, or torchrun
_LAUNCHERS = {"CROSS_RANK": 2, "TORCHELASTIC_RUN_ID": 1}


class StopFlag:
    """Set by SIGTERM, SIGINT or SIGUSR1; repeats are harmless.

    The launcher also sends SIGTERM to healthy ranks when another one dies, so the flag alone decides nothing: ranks
    agree on it at a step boundary, and a rank whose collectives fail does not save.
    """

    def __init__(self) -> None:
        self.signal_name: str | None = None

    def install(self) -> None:
        """Handle the stop signals from now on, instead of :func:`exit_on_signal_during_startup`."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_signal)
        signal.set_wakeup_fd(-1)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.signal_name = signal.Signals(number).name

    def __bool__(self) -> bool:
        return self.signal_name is not None


def exit_on_signal_during_startup() -> None:
    """End at once, with status 75, on a stop signal or when the launcher vanishes: a starting run has nothing to save.

    A thread does it, because the main thread may hang in a rendezvous, where Python runs no handlers.
    """
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)  # the wake-up descriptor speaks only for handled signals
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)

    def wait() -> None:
        while (number := os.read(read_fd, 1)[0]) not in STOP_SIGNALS:
            pass
        if find_place().rank == 0:
            name = signal.Signals(number).name
            with suppress(OSError):  # a log that cannot be written is no reason to stay
                print(f"stopped by {name} while starting; continue with the same command", file=sys.stderr, flush=True)
        os._exit(EXIT_PREEMPTED)

    threading.Thread(target=wait, name="leave-when-asked", daemon=True).start()
    generations = max((n for name, n in _LAUNCHERS.items() if name in os.environ), default=0)
    if generations:
        _watch_parents(generations)


def _watch_parents(generations: int) -> None:
    """Stop as if asked to when the launcher dies.

    It ends alone on SIGTERM and leaves its ranks training (recipes/deepspeed.md#launcher-signals).
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    family = _ancestors(generations)

    def watch() -> None:
        while _ancestors(generations) == family:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _ancestors(generations: int) -> list[int]:
    """Process ids of the parent, its parent, ..."""
    found = [os.getppid()]
    while len(found) < generations:
        try:
            fields = Path(f"/proc/{found[-1]}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            break
        found.append(int(fields[1]))
    return found
