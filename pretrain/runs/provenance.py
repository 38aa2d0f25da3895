"""The machine and the versions that a result was made with."""

from __future__ import annotations

import json
import os
import platform
import shlex
import socket
import sys
from pathlib import Path
from typing import Any

from data_prep.corpus.files import write_atomic
from data_prep.corpus.version import DISTRIBUTION, commit, project_version, version_of

FILE_NAME = "environment.json"  # in run folders

LIBRARIES = (
    "torch", "deepspeed", "transformers", "datasets", "tokenizers", "safetensors", "pyarrow", "numpy", "scipy",
    "pydantic", "mlflow", "ViennaRNA",
)  # fmt: skip


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
