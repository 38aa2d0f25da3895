"""Files that are either whole or absent."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from data_prep.errors import DataPrepError


def write_atomic(path: Path, data: bytes) -> None:
    """Write under a temporary name, flush to the disk, rename."""
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def sync_folder(path: Path) -> None:
    """Make the renames inside a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def canonical_json(value: Any) -> bytes:
    """One spelling for one value, so that equal content has equal bytes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def pretty_json(value: Any) -> bytes:
    """For files a person reads; keys keep their order."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def sha256_of_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """A JSON file; a damaged one is one clear line."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DataPrepError(f"{path}: not valid JSON ({error}); the file is damaged, build the corpus again") from None
