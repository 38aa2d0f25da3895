"""Hosts on one machine: network namespaces with a name, an address and a cable each."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from types import TracebackType


class NotPermittedError(Exception):
    """This machine lets nobody make network namespaces."""


class Hosts:
    """Two hosts ``node0`` and ``node1`` with addresses 10.77.0.1 and 10.77.0.2 on ``eth0``, joined by a cable."""

    count = 2

    def __init__(self) -> None:
        self._names = [f"pm{os.getpid()}-{number}" for number in range(self.count)]

    def __enter__(self) -> Hosts:
        a, b = self._names
        try:
            for name in self._names:
                _ip("netns", "add", name)
            _ip("link", "add", "eth0", "netns", a, "type", "veth", "peer", "name", "eth0", "netns", b)
            for number, name in enumerate(self._names):
                _ip("-n", name, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
                _ip("-n", name, "link", "set", "lo", "up")
                _ip("-n", name, "link", "set", "eth0", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__(None, None, None)
            raise NotPermittedError(str(getattr(error, "stderr", "") or error).strip()) from None
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for name in self._names:
            with suppress(OSError, subprocess.CalledProcessError):
                _ip("netns", "del", name)

    def address(self, number: int) -> str:
        """IP address of a host."""
        return f"10.77.0.{number + 1}"

    def on(self, number: int) -> list[str]:
        """What comes before a command that shall run on a host."""
        named = ["unshare", "--uts", "sh", "-c", f'hostname node{number}; exec "$@"', "sh"]
        return ["ip", "netns", "exec", self._names[number], *named]

    def cut_off(self, number: int) -> None:
        """Pull the cable of a host: packets are lost, no socket is closed."""
        _ip("-n", self._names[number], "link", "set", "eth0", "down")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
