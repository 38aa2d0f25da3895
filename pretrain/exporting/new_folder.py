"""An output folder that is whole or absent."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.corpus.files import flush_to_disk, share
from pretrain.errors import PolymeraseError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to write into; it becomes ``path`` when the block ends well and vanishes when it does not.

    What a killed process left of a folder of this name is removed first.

    Raises:
        PolymeraseError: ``path`` exists and is not empty, cannot be made, or is being written by another process.
    """
    path = path.resolve()
    refuse_existing(path)
    partial = path.parent / f".{path.name}.partial"
    try:
        partial.mkdir(parents=True, exist_ok=True)
        held = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as why:
        raise PolymeraseError(f"{path}: cannot be made: {partial.name}: {why.strerror}") from None
    try:
        if not _lock(held):
            raise PolymeraseError(f"{path}: another process is writing this folder; wait for it, or name another one")
        try:
            yield _emptied(partial)
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
    finally:
        os.close(held)


def _lock(folder: int) -> bool:
    """Whether nobody else holds this open folder; from now on this process does, until it closes it or ends."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: nothing to hold on to
        return True
    return True


def _emptied(folder: Path) -> Path:
    for left in folder.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()
    return folder


def refuse_existing(path: Path) -> None:
    """Raise PolymeraseError if ``path`` is a file or a folder that is not empty."""
    if path.is_dir() and any(path.iterdir()):
        raise PolymeraseError(f"{path}: exists and is not empty; name another folder or remove it")
    if path.exists() and not path.is_dir():
        raise PolymeraseError(f"{path}: is a file; name another folder")
