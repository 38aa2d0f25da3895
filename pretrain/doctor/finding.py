"""Result of a check."""

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """A result: ok; note: works, but worth knowing; missing: something that is needed does not work."""

    name: str
    state: Literal["ok", "note", "missing"]
    detail: str
    advice: str = ""  # what to do
