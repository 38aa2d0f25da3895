"""Where lines about a run go: one line that is kept up to date on a terminal, time-stamped lines or JSON in a file."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any


class LogLines:
    """The lines of one process on stderr. A process that is not the first of its run says nothing.

    Args:
        speaks: whether anything is printed.
        as_json: one JSON object per line, for programs that collect logs.
    """

    def __init__(self, speaks: bool, as_json: bool = False):
        self._speaks, self._as_json = speaks, as_json
        self._bar = speaks and not as_json and sys.stderr.isatty()

    def say(self, text: str, update: bool = False, numbers: Mapping[str, Any] | None = None) -> None:
        """Print a line.

        Args:
            text: for people.
            update: the next line of this kind takes its place, on a terminal.
            numbers: what JSON has instead of the text.
        """
        if not self._speaks:
            return
        with suppress(OSError):  # nobody reads any more, or the log's disk is full: no reason to stop
            if self._bar:
                start, end = "\r\x1b[K", "" if update else "\n"
                print(f"{start}{text}", end=end, file=sys.stderr, flush=True)
            elif self._as_json:
                print(_as_json({"message": text} if numbers is None else numbers), file=sys.stderr, flush=True)
            else:
                print(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line that is kept up to date."""
        if self._bar:
            print(file=sys.stderr)


def _as_json(record: Mapping[str, Any]) -> str:
    clean = {key: repr(v) if isinstance(v, float) and not math.isfinite(v) else v for key, v in record.items()}
    return json.dumps({"time": datetime.now().astimezone().isoformat(timespec="seconds"), **clean})
