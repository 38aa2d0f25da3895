"""An output folder that is whole or absent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.corpus.files import flush_to_disk, share
from pretrain.errors import PolymeraseError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to write into; it becomes ``path`` when the block ends well and vanishes when it does not.

    Raises:
        PolymeraseError: ``path`` exists and is not empty, or cannot be made.
    """
    path = path.resolve()
    refuse_existing(path)
    partial = path.parent / f".{path.name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    except OSError as why:
        raise PolymeraseError(f"{path}: cannot be made: {why.strerror}") from None
    try:
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                share(file)
            flush_to_disk(file)
        flush_to_disk(partial)
        os.rename(partial, path)  # an empty folder of that name is replaced
        flush_to_disk(path.parent)
    except OSError as why:
        raise PolymeraseError(f"{path}: cannot be written: {why.strerror or why}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_existing(path: Path) -> None:
    """Raise PolymeraseError if ``path`` is a file or a folder that is not empty."""
    if path.is_dir() and any(path.iterdir()):
        raise PolymeraseError(f"{path}: exists and is not empty; name another folder or remove it")
    if path.exists() and not path.is_dir():
        raise PolymeraseError(f"{path}: is a file; name another folder")
