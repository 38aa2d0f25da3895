"""Errors of files that cannot be read, in one line of bounded length."""

from __future__ import annotations

import tokenize
import zipfile
import zlib

from pretrain.errors import PolymeraseError

# what zipfile and numpy raise on files that are cut off, flipped, encrypted, or no archives at all
ARCHIVE_ERRORS: tuple[type[Exception], ...] = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError, TypeError,
    KeyError, MemoryError, SyntaxError, tokenize.TokenError,
)  # fmt: skip


def damaged(source: str, why: BaseException) -> PolymeraseError:
    """Build the error for a file whose bytes are not what was once written."""
    return PolymeraseError(f"{source}: damaged, cut off, or no checkpoint ({brief(why)}); download or copy it again")


def brief(why: BaseException) -> str:
    """Return an exception's message on one line, shortened."""
    return " ".join(str(why).split())[:120] or type(why).__name__
