"""Disk, shared memory and the tracking store: each is written to, not only looked at."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pretrain.doctor.finding import Finding

_LITTLE_DISK = 20 * 2**30  # two checkpoints of a base model with their optimizer take 2 GiB, corpora up to 50
_LITTLE_SHARED_MEMORY = 2**30
_SERVER_PATIENCE_S = "5"


def check_disk(folder: Path) -> Iterator[Finding]:
    """Write, flush, rename and lock a file in the folder of the runs, as checkpoints do."""
    existing = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.is_dir())
    try:
        with tempfile.TemporaryDirectory(dir=existing, prefix=".doctor-") as name:
            partial, final = Path(name, "partial"), Path(name, "final")
            with partial.open("wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.write(b"0" * 2**20)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(final)
            free = shutil.disk_usage(name).free
    except OSError as error:
        yield Finding(
            "disk", "missing", f"{existing}: {error.strerror}",
            "runs write, lock and rename files here: choose another --dir, or fix permissions and quota",
        )  # fmt: skip
        return
    little = free < _LITTLE_DISK
    yield Finding(
        "disk", "note" if little else "ok", f"{existing}: {free / 2**30:,.0f} GiB free, can be written",
        "little for a full recipe: checkpoints of a base model take 1 GiB each, corpora more" if little else "",
    )  # fmt: skip


def check_shared_memory() -> Iterator[Finding]:
    """Loader workers and NCCL hand data through /dev/shm; containers often get 64 MiB."""
    path = Path("/dev/shm")
    if not path.is_dir():
        yield Finding("shared memory", "note", "no /dev/shm", "keep train.loader_workers=0")
        return
    free = shutil.disk_usage(path).free
    little = free < _LITTLE_SHARED_MEMORY
    yield Finding(
        "shared memory", "note" if little else "ok", f"{free / 2**30:,.1f} GiB free in /dev/shm",
        "loader workers and NCCL may fail: start the container with --shm-size=8g" if little else "",
    )  # fmt: skip


def check_tracking() -> Iterator[Finding]:
    """Open and close a run in the store that a training would use."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", _SERVER_PATIENCE_S)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        import mlflow
    except ImportError:
        yield Finding("mlflow", "note", "not installed", "runs work without: set tracking.sinks=[]")
        return
    server = os.environ.get("MLFLOW_TRACKING_URI")
    try:
        with tempfile.TemporaryDirectory(prefix="doctor-") as name:
            client = mlflow.MlflowClient(tracking_uri=server or f"sqlite:///{name}/mlflow.db")
            client.search_experiments(max_results=1)
    except Exception as error:  # any failure of a server or a database driver
        reason = " ".join(str(error).split())[:160]
        yield Finding(
            "mlflow", "note", f"{server or 'SQLite store'} cannot be used: {reason}",
            "a run reports this once and continues without it; unset MLFLOW_TRACKING_URI to use a file beside the "
            "run folders",
        )  # fmt: skip
        return
    yield Finding("mlflow", "ok", f"{mlflow.__version__}, {server or 'SQLite file beside the run folders'}")
