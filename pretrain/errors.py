"""The exceptions users see: the message is one line that says what is wrong, where, and what to do."""


class PolymeraseError(Exception):
    """Bad input, configuration or state. Commands print it as ``error: ...`` and exit with status 2."""


class RunError(PolymeraseError):
    """The input was right, the run cannot go on: a lost rank, a full disk, a diverged loss. Exit status 1."""
