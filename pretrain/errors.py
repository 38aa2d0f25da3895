"""The one exception users see: its message is one line that says what is wrong, where, and what to do."""


class PolymeraseError(Exception):
    """Bad input, configuration or state. Commands print it as ``error: ...`` and exit with status 2."""
