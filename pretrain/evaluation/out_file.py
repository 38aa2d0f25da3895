"""Files that a command writes when its work is done: whether they can be written is said before."""

from __future__ import annotations

import os
from pathlib import Path

from pretrain.errors import PolymeraseError


def check_out_file(path: Path) -> None:
    """Raise PolymeraseError unless a file of this name can be written; folders above it may be missing."""
    if path.is_dir():
        raise PolymeraseError(f"--out {path}: expected the name of a file, got a folder; add a name")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir():
        raise PolymeraseError(f"--out {path}: {there} is a file, expected a folder; choose another --out")
    if not os.access(there, os.W_OK):
        raise PolymeraseError(f"--out {path}: {there} cannot be written; choose another --out")
