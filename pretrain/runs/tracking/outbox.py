"""What one sink is still to be sent: a thread does one thing after another, each until it succeeds."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from pretrain.runs.tracking.sink import Sink

_log = logging.getLogger("polymerase")
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0  # between two tries
_LAST_WAIT_S, _SILENT_S = 120.0, 10.0  # at the end of a run, for what is not sent yet; for a place that fails
_TRIES = 3  # of what fails although the place answers


class Outbox:
    """Sends in order, and again while the place does not answer. No step of the training waits for it."""

    def __init__(self, sink: Sink):
        self._sink = sink
        self._waiting: queue.Queue[Callable[[], None]] = queue.Queue()
        self._hurry = threading.Event()  # the process ends: no long waits between tries any more
        self._failing_since: float | None = None
        self._given_up = False
        threading.Thread(target=self._send, name=f"tracking {sink.label}", daemon=True).start()

    def put(self, action: Callable[[], None]) -> None:
        """Add something to do."""
        self._waiting.put(action)

    def flush(self) -> None:
        """Wait until everything is sent, at most some seconds; report what was not."""
        self._hurry.set()
        began = time.monotonic()
        while self._waiting.unfinished_tasks:
            now, failing = time.monotonic(), self._failing_since
            if now - began > (_LAST_WAIT_S if failing is None else _SILENT_S):
                break
            time.sleep(0.02)
        if left := self._waiting.unfinished_tasks:
            self._given_up = True
            _log.warning(
                "tracking: %d entries did not reach %s; the next start of the run adds them from metrics.jsonl",
                left, self._sink.label,
            )  # fmt: skip

    def _send(self) -> None:
        while True:
            action, wait, failures = self._waiting.get(), _FIRST_WAIT_S, 0
            while True:
                try:
                    action()
                    self._failing_since = None
                    if failures:
                        _log.warning("tracking: %s answers again; nothing is lost", self._sink.label)
                    break
                except Exception as error:  # whatever a tracking server does, training goes on
                    failures += 1
                    self._failing_since = self._failing_since or time.monotonic()
                    reason = str(error).splitlines()[0] if str(error) else repr(error)
                    if failures == 1:
                        _log.warning(
                            "tracking: %s is not available (%s); entries are kept and sent later",
                            self._sink.label,
                            reason,
                        )
                    if failures >= _TRIES and self._sink.answers():
                        _log.warning("tracking: dropped an entry after %d tries: %s", failures, reason)
                        self._failing_since = None
                        break
                self._hurry.wait(wait)
                if self._hurry.is_set():
                    time.sleep(_FIRST_WAIT_S)
                if self._given_up:
                    return
                wait = min(2 * wait, _LONGEST_WAIT_S)
            self._waiting.task_done()
