"""What fuzz tests share.

FUZZ_EXAMPLES=100000 makes a long run of them, `--hypothesis-seed N` another one.
"""

import os
import re

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from data_prep.errors import DataPrepError

LONGEST_MESSAGE = 700
ASKED = os.environ.get("FUZZ_EXAMPLES")


def fuzz(usually: int) -> settings:
    """Settings of a test: `usually` examples, or the number asked for, however slow the machine is."""
    return settings(
        max_examples=int(ASKED or usually),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def outcome(call):
    """(result, None) or (None, message of one line)."""
    try:
        return call(), None
    except DataPrepError as error:
        message = str(error)
        assert "\n" not in message
        assert len(message) < LONGEST_MESSAGE
        return None, message


def damaged(raw: bytes, data, times: int, inserted) -> bytes:
    """`raw` with up to `times` bytes flipped, ends cut off or pieces put in; `inserted` draws a piece."""
    raw = bytearray(raw)
    for _ in range(data.draw(st.integers(1, times))):
        at = data.draw(st.integers(0, len(raw) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "insert"]))
        if how == "flip":
            raw[at] = data.draw(st.integers(0, 255))
        elif how == "cut" and at:
            del raw[at:]
        else:
            raw[at:at] = data.draw(inserted)
    return bytes(raw)


def soup(*tokens):
    """Pieces of files in any order, so that odd ones meet."""
    return st.lists(st.sampled_from(tokens), max_size=30).map(b"".join)


def slow_text(data):
    """The lines of UTF-8 `data`, or None where line ends are mixed."""
    data = re.sub(rb"(\A|[\n\r])(?:\xef\xbb\xbf)+", rb"\1", data)
    lines, at, ends = [], 0, set()
    for found in re.finditer(rb"(\r*\n)|(\r)(?!\r*\n)", data):
        ends.add("lf" if found[1] else "cr")
        lines.append(data[at : found.start()])
        at = found.end()
    lines.append(data[at:])
    if "lf" in ends and "cr" in ends:
        tail = re.search(rb"\r+\Z", data)  # carriage returns at the very end are line ends of either kind
        if tail and "cr" not in {"cr" for _ in re.finditer(rb"\r(?!\r*\n)", data[: tail.start()])}:
            return slow_text(data[: tail.start()])
        return None
    return lines
