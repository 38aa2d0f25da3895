"""The machine and the versions that a result was made with."""

from __future__ import annotations

import json
import os
import platform
import shlex
import socket
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from data_prep.corpus.files import write_atomic

FILE_NAME = "environment.json"  # in run folders

LIBRARIES = (
    "torch", "deepspeed", "transformers", "datasets", "tokenizers", "safetensors", "pyarrow", "numpy", "scipy",
    "pydantic", "mlflow", "ViennaRNA",
)  # fmt: skip


DISTRIBUTION = "polymerase-lm"  # `polymerase` on the package index is somebody else's
_ROOT = Path(__file__).resolve().parents[2]


def project_version() -> str:
    """Return the version of this project: of the installed distribution, else of the clone's pyproject.toml."""
    installed = version_of(DISTRIBUTION)
    if installed is not None:
        return installed
    pyproject = _ROOT / "pyproject.toml"
    return tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["version"] if pyproject.is_file() else "?"


def commit() -> str | None:
    """Return the commit of the clone this code runs from; None outside a clone.

    It ends in ``+changes`` if files differ from it.
    """
    if not (_ROOT / ".git").exists():
        return None
    words = ["git", "-C", str(_ROOT), "describe", "--always", "--abbrev=12", "--dirty=+changes", "--exclude=*"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def describe_version() -> str:
    """Return one line: version, commit, Python and the libraries that results depend on. Imports none of them."""
    of = ", ".join(f"{name} {version_of(name)}" for name in ("torch", "deepspeed", "transformers"))
    return f"{DISTRIBUTION} {project_version()} (commit {commit() or 'unknown'}), Python {sys.version.split()[0]}, {of}"


def version_of(library: str) -> str | None:
    """Return the installed version of a library, or None."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def describe_origin() -> dict[str, str]:
    """Return version, commit, host and command line: what tells one run of many from another."""
    return {
        "version": project_version(),
        "commit": commit() or "unknown",
        "host": socket.gethostname(),
        "command": shlex.join(sys.argv),
    }


def describe_environment() -> dict[str, Any]:
    """Return Python, libraries, processor and GPUs as plain data. Imports torch."""
    import torch

    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        DISTRIBUTION: project_version(),
        "commit": commit(),
        "host": socket.gethostname(),
        "command": sys.argv,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "gpus": gpus or "none",
        **({"cuda": torch.version.cuda} if gpus else {}),
        "ranks": int(os.environ.get("WORLD_SIZE", "1")),
        **{name: version for name in LIBRARIES if (version := version_of(name))},
    }


def save_environment(run_dir: Path) -> None:
    """Write the environment to a run folder, atomically. A resumed run writes that of its newest process."""
    write_atomic(run_dir / FILE_NAME, json.dumps(describe_environment(), indent=1).encode() + b"\n")
