"""What a check says."""

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """ok; note: works, but somebody may want to know; missing: something that is needed does not work."""

    name: str
    state: Literal["ok", "note", "missing"]
    detail: str
    advice: str = ""  # what to do
