"""Heartbeats between ranks, so that a run ends soon after a rank is lost, and names it.

Without them a dead peer is noticed at once (gloo), after ``engine.timeout_s`` (NCCL, a cut cable) or never, and the
error names a socket. Every rank writes a beat to the rendezvous store once a second, from a thread of its own. Rank 0
reads all beats and writes its verdict there; the others read rank 0's beat and the verdict. So the cost is three small
messages per rank and second.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress

import torch.distributed as dist

_BEAT_S = 1.0
_LINGER_S = 5.0  # several beats
_VERDICT = "watch/verdict"
_LOOK_S = 2 * _BEAT_S  # a look that comes later than this was late itself
_ADVICE = "its process ended or its host is cut off; run the same command again on the remaining hosts"


class Silence:
    """How long nothing was heard, counted only while this process was there to hear it.

    A machine that was suspended, or had no core to spare, stops all its ranks at once: each of them then finds the
    others' beats old, and none is lost. So a look that comes late counts as one that came in time.
    """

    def __init__(self) -> None:
        self._looked = time.monotonic()
        self._last: object = None
        self.seconds = 0.0

    def hear(self, beat: object) -> float:
        """Compare with the last beat; return the seconds without a new one. Call it about once a second."""
        now = time.monotonic()
        self.seconds = self.seconds + min(now - self._looked, _LOOK_S) if beat == self._last else 0.0
        self._looked, self._last = now, beat
        return self.seconds


class HeartbeatMonitor:
    """One rank's heartbeat and its watch over the others; it lives as long as the process.

    Args:
        silent_s: a rank that is silent for longer is lost. The process then ends with status 1, wherever it hangs.

    Attributes:
        step: current step of this rank; sent to the others with every beat.
    """

    def __init__(self, rank: int, world_size: int, silent_s: float):
        self.step = 0
        self._rank, self._world_size, self._silent_s = rank, world_size, silent_s
        # a connection of its own: the main thread's may be waiting in a rendezvous
        self._store: dist.TCPStore = dist.distributed_c10d._get_default_store().clone()  # type: ignore[attr-defined]
        self._store.set(f"watch/host/{rank}", socket.gethostname())
        self._beats = 0
        self._beat()
        dist.barrier()  # from here on every key can be read without waiting
        self._hosts = [name.decode() for name in self._store.multi_get(self._keys("host"))]
        self._others: dict[int, Silence] = {}  # by rank
        self._answers = 0  # of the store
        threading.Thread(target=self._keep_beating, name="watch-beat", daemon=True).start()
        if rank != 0:  # rank 0 holds the store itself
            threading.Thread(target=self._keep_asking, name="watch-store", daemon=True).start()

    def diagnose(self) -> str | None:
        """Explain why a collective failed: which rank is gone, or behind.

        Takes some seconds. None if all ranks are well.
        """
        try:
            if self._store.check([_VERDICT]):
                return self._store.get(_VERDICT).decode()
            before = self._read_beats()
            time.sleep(_LINGER_S)
            after = self._read_beats()
            silent = [rank for rank in range(self._world_size) if before[rank] == after[rank]]
            if silent:
                return self._pass_verdict(self._lost(silent))
        except dist.DistError:
            return self._lost([0])
        steps = [int(beat.split()[1]) for beat in after]
        behind = [rank for rank, step in enumerate(steps) if step < max(steps)]
        if behind:
            return f"{self._names(behind)} stayed at step {min(steps)} while others reached step {max(steps)}"
        return None

    def say_once(self, message: str, say: Callable[[str], None]) -> None:
        """Let one rank print a message that may be an error of all ranks or of this one; returns when it is printed.

        The launcher ends all ranks as soon as one has ended with an error, so no rank may leave before the line is out.
        """
        key = f"watch/said/{zlib.crc32(message.encode())}"
        try:
            if self._store.add(key, 1) == 1:
                say(message)
                self._store.set(f"{key}/out", "1")
            else:
                end = time.monotonic() + _LINGER_S
                while time.monotonic() < end and not self._store.check([f"{key}/out"]):
                    time.sleep(0.05)
        except dist.DistError:  # the store is gone, and with it whoever might have said it
            say(message)
        if self._rank == 0:
            time.sleep(_BEAT_S)  # this process holds the store, and others may be about to ask

    def _keys(self, kind: str) -> list[str]:
        return [f"watch/{kind}/{rank}" for rank in range(self._world_size)]

    def _read_beats(self) -> list[bytes]:
        return self._store.multi_get(self._keys("beat"))

    def _beat(self) -> None:
        self._beats += 1
        self._store.set(f"watch/beat/{self._rank}", f"{self._beats} {self.step}")

    def _keep_beating(self) -> None:
        while True:
            try:
                self._beat()
                self._look_at_all() if self._rank == 0 else self._look_at_first()
                self._answers += 1
            except dist.DistError:  # the store is gone, or not to be reached: the other thread waits for it
                pass
            time.sleep(_BEAT_S)

    def _keep_asking(self) -> None:
        """The store itself may be out of reach, and the beating thread may hang in it."""
        store = Silence()
        while store.hear(self._answers) < self._silent_s:
            time.sleep(_BEAT_S)
        self._end(self._lost([0]))

    def _look_at_all(self) -> None:
        lost = self._silent(dict(enumerate(self._read_beats())))
        if lost:
            self._end(self._pass_verdict(self._lost(lost)))

    def _look_at_first(self) -> None:
        if self._store.check([_VERDICT]):
            self._end(self._store.get(_VERDICT).decode())
        if self._silent({0: self._store.get("watch/beat/0")}):
            self._end(self._lost([0]))

    def _silent(self, beats: dict[int, bytes]) -> list[int]:
        """The ranks whose beat has not changed for too long."""
        heard = {rank: self._others.setdefault(rank, Silence()).hear(beat) for rank, beat in beats.items()}
        return [rank for rank, seconds in heard.items() if seconds > self._silent_s]

    def _names(self, ranks: list[int]) -> str:
        shown = ", ".join(f"rank {rank} (host {self._hosts[rank]})" for rank in ranks[:8])
        return shown + (f" and {len(ranks) - 8} more" if len(ranks) > 8 else "")

    def _lost(self, ranks: list[int]) -> str:
        return f"lost {self._names(ranks)}: {_ADVICE}"

    def _pass_verdict(self, message: str) -> str:
        """Tell the others, so that they do not take those who leave because of it for the lost ones."""
        self._store.set(_VERDICT, message)
        if self._rank == 0:
            time.sleep(_LINGER_S)  # this process holds the store
        return message

    def _end(self, message: str) -> None:
        """End the process from this thread; the main thread hangs in a collective that will never come back."""
        with suppress(OSError):  # a log that cannot be written is no reason to stay
            print(f"error: {message}", file=sys.stderr, flush=True)
        os._exit(1)
