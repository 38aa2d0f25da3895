"""What fuzz tests share.

FUZZ_EXAMPLES=100000 makes a long run of them, `--hypothesis-seed N` another one.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from data_prep.errors import DataPrepError

LONGEST_MESSAGE = 700
ASKED = os.environ.get("FUZZ_EXAMPLES")


def fuzz(usually: int) -> settings:
    """Settings of a test: `usually` examples, or the number asked for."""
    return settings(
        max_examples=int(ASKED or usually), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
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
