"""Arrays about a corpus that take a while to compute: computed once, kept in its folder, then memory-mapped."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from data_prep.corpus.files import write_atomic


def counted_once(path: Path, count: Callable[[], np.ndarray]) -> np.ndarray:
    """Map the array of a file; compute and write it first if no run has done so before.

    Ranks of one machine wait for the first of them. The content may be that of another corpus: check its shape.

    Raises:
        OSError: it can neither be read nor written.
        ValueError: the file is not an array.
    """
    if not path.exists():
        with _alone(path):
            if not path.exists():
                values = count()
                write_atomic(path, lambda file: np.save(file, values, allow_pickle=False))
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Admit one process at a time per folder; where locks do not work, two may count, and the later result stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.parent / "lock", "w") as lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
