"""Numbers in files from outside. Python itself takes `1_000`, `+5`, blanks and digits of any script for numbers too."""

import re

WHOLE = re.compile(rb"\d{1,18}")
DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def whole_number(text: bytes) -> int:
    """The number of up to 18 digits, and nothing but digits.

    Raises:
        ValueError: The text is something else.
    """
    if WHOLE.fullmatch(text) is None:
        raise ValueError(text)
    return int(text)


def decimal_number(text: str) -> float:
    """The number as it is written in decimals, with an exponent or without.

    Raises:
        ValueError: The text is something else, as `nan`, `inf` and `1_0` are.
    """
    if DECIMAL.fullmatch(text) is None:
        raise ValueError(text)
    return float(text)
