"""A headless Chromium that is told what to do over two pipes (its DevTools protocol), without a package for it."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.hang import HANG_S

PHONE, DESK = 390, 1280  # pixels of CSS
_HEIGHT = 844
_SEEN = """(async () => {
  const pictures = [...document.images];
  await Promise.all(pictures.map(one => one.decode().catch(() => 0)));
  const wide = [...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > WIDTH + 1);
  return {
    width: document.documentElement.scrollWidth,
    wide: wide.slice(0, 3).map(one => one.tagName + ' ' + one.textContent.trim().slice(0, 60)),
    pictures: pictures.length,
    broken: pictures.filter(one => !one.complete || !one.naturalWidth).map(one => one.src.slice(0, 100)),
    text: document.body.innerText,
  };
})()"""
# it reads file 3 and writes file 4
_START = """
import os, sys
from fcntl import F_DUPFD, fcntl
for place, number in zip((3, 4), [fcntl(int(number), F_DUPFD, 10) for number in sys.argv[1:3]]):
    os.dup2(number, place)
os.execv(sys.argv[3], sys.argv[3:])
"""


@dataclass(frozen=True)
class Look:
    """A page as a browser shows it.

    Attributes:
        window: its width, in pixels.
        width: that the whole page takes; more than the window's where it scrolls sideways.
        wide: elements that reach beyond the window, a few.
        pictures: how many there are; broken: the addresses of those that did not load.
        errors: of the console, of scripts, and of what could not be loaded.
        text: that can be read.
    """

    window: int
    width: int
    wide: list[str]
    pictures: int
    broken: list[str]
    errors: list[str]
    text: str

    def complaints(self) -> list[str]:
        """What is wrong: it scrolls sideways, a picture is missing, the console tells an error, nothing is there."""
        found = [f"picture not loaded: {address}" for address in self.broken] + self.errors
        if self.width > self.window:
            found.append(f"{self.width} pixels in a window of {self.window}: {self.wide}")
        if not self.text.strip():
            found.append("nothing to read")
        return found


def find_browser() -> str:
    """The path of a browser; the test skips where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no headless browser here (apt-get install chromium)")
    return found


class Browser:
    """One tab of one browser; see :func:`open_browser`."""

    def __init__(self, commands: int, answers: int):
        self._commands, self._answers, self._read = commands, answers, b""
        self._number, self._session = 0, None
        self._events: list[dict[str, Any]] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def look(self, address: str, width: int) -> Look:
        """Open an address in a window of a width; narrow ones are phones."""
        phone = width < 600
        self._ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=_HEIGHT, deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )  # fmt: skip
        self._events.clear()
        error = self._ask("Page.navigate", url=address).get("errorText")
        assert not error, f"{address}: {error}"
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._events.append(self._next())
        asked = {"expression": _SEEN.replace("WIDTH", str(width)), "awaitPromise": True, "returnByValue": True}
        seen = self._ask("Runtime.evaluate", **asked)["result"]["value"]
        return Look(width, errors=[text for event in self._events if (text := _error(event))], **seen)

    def picture(self) -> bytes:
        """PNG of the whole page that was looked at last."""
        size = self._ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        return base64.b64decode(self._ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"])

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._commands, content) :]
        while (answer := self._next()).get("id") != self._number:
            self._events.append(answer)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        """An answer or an event; each ends with a zero byte."""
        end = time.monotonic() + HANG_S
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._answers, 1 << 16)
            assert part, "the browser ended"
            self._read += part
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)


def _error(event: dict[str, Any]) -> str | None:
    """What an event complains of."""
    told = event.get("params", {})
    if event["method"] == "Runtime.exceptionThrown":
        return str(told["exceptionDetails"].get("exception", told["exceptionDetails"]))
    if event["method"] == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
        return str([value.get("value", value.get("description")) for value in told["args"]])
    if event["method"] == "Log.entryAdded" and told["entry"]["level"] == "error":
        return f"{told['entry']['text']} {told['entry'].get('url', '')}"
    if event["method"] == "Network.loadingFailed" and not told.get("canceled"):
        return f"{told['type']}: {told['errorText']}"
    return None


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start a browser with an empty profile; it ends with the block."""
    program = find_browser()
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    with tempfile.TemporaryDirectory() as profile:
        words = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        words += [f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        process = subprocess.Popen(
            [sys.executable, "-c", _START, str(commands_out), str(answers_in), *words],
            pass_fds=(commands_out, answers_in), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands_out)
        os.close(answers_in)
        try:
            yield Browser(commands_in, answers_out)
        finally:
            os.close(commands_in)  # the end of its commands ends it
            process.wait(HANG_S)
            os.close(answers_out)
