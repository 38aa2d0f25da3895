"""Files that are either whole or absent."""

import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from data_prep.errors import DataPrepError


def write_atomic(path: Path, data: bytes | Callable[[BinaryIO], Any]) -> dict[str, Any]:
    """Write under a temporary name, flush to the disk, rename: `path` holds all of `data`, or what it held before.

    Args:
        path: the file; its folder must exist.
        data: the content, or what writes it to a file that it is given (one that cannot seek).

    Returns:
        {"bytes", "sha256"} of what was written.

    Raises:
        OSError: it cannot be written; the temporary file is removed.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # two processes may write the same file
    try:
        with open(temporary, "wb", buffering=0) as file:
            written = _DigestingFile(file).take(data)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:  # a full disk names no file
            error.filename = str(path)
        raise
    return written


def digest(data: bytes | Callable[[BinaryIO], Any]) -> dict[str, Any]:
    """Return what `write_atomic` would return, without writing anything."""
    return _DigestingFile(None).take(data)


class _DigestingFile:
    """A file for writing that computes the digest, so that large content is neither copied nor read again."""

    closed = False

    def __init__(self, file: io.FileIO | None):
        self._file = file
        self._bytes = 0
        self._sha256 = hashlib.sha256()

    def take(self, data: bytes | Callable[[BinaryIO], Any]) -> dict[str, Any]:
        if callable(data):
            data(cast(BinaryIO, self))
        else:
            self.write(data)
        return {"bytes": self._bytes, "sha256": self._sha256.hexdigest()}

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._sha256.update(view)
        self._bytes += len(view)
        rest = view
        while self._file and len(rest):  # an unbuffered file may take a part only
            rest = rest[self._file.write(rest) :]
        return len(view)

    def flush(self) -> None:
        pass


def share(path: Path) -> None:
    """Give a file the rights that `open` gives: some libraries make files that their owner alone reads."""
    mask = os.umask(0o077)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def flush_to_disk(path: Path) -> None:
    """Make the content of a file, or the renames inside a folder, outlast a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def canonical_json(value: Any) -> bytes:
    """Encode a value in one spelling, so that equal content has equal bytes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def pretty_json(value: Any) -> bytes:
    """Encode a value for readers; keys keep their order."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def sha256_of_file(path: Path) -> str:
    """Return the hex digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataPrepError: the file is damaged.
    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DataPrepError(f"{path}: not valid JSON ({error}); the file is damaged, build the corpus again") from None
