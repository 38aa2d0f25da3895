"""What a user of `data_prep` sees when something is wrong."""

SHOWN_LETTERS = 40


class DataPrepError(Exception):
    """Bad input or usage. The message is the one line a user sees: file, record or key, what is wrong, what to do."""


def shown(text: str | bytes | bytearray, at_most: int = SHOWN_LETTERS) -> str:
    """The beginning of a text from outside, quoted and on one line: a message never holds a whole file."""
    if not isinstance(text, str):
        text = bytes(text[: 4 * at_most]).decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= at_most else text[:at_most] + "…")


def shown_name(name: str | bytes, at_most: int = SHOWN_LETTERS) -> str:
    """A name from outside in a message: without quotes, of bounded length, nothing in it that a terminal obeys."""
    if not isinstance(name, str):
        name = name[: 4 * at_most].decode("utf-8", "backslashreplace")
    clean = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in name[: at_most + 1])
    return clean if len(name) <= at_most else clean[:at_most] + "…"
