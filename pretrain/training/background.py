"""Writes one thing at a time beside the training."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger("polymerase")


class BackgroundWriter:
    """One write in a thread of its own, which the process waits for before it ends.

    An error is kept until somebody asks: ``failed`` without waiting, ``wait`` for the whole answer.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, write: Callable[[], None]) -> None:
        """Begin a write. The one before must have been waited for."""
        assert self._thread is None

        def run() -> None:
            try:
                write()
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=run, name="checkpoint")
        self._thread.start()

    @property
    def failed(self) -> bool:
        """Whether the write has ended with an error that nobody has heard of yet."""
        return self._error is not None

    def wait(self) -> OSError | None:
        """Wait until the write has ended, if there is one.

        Returns:
            Why the disk did not take it. Any other error is raised.
        """
        if self._thread is not None:
            self._thread.join()
        error, self._thread, self._error = self._error, None, None
        if error is not None and not isinstance(error, OSError):
            raise error
        return error

    def settle(self) -> None:
        """Wait, where a run ends with another error."""
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            _log.warning("warning: the last checkpoint was not written: %s", self._error)
