"""The machine and the versions that a result belongs to."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

FILE_NAME = "environment.json"  # in run folders

LIBRARIES = (
    "torch", "deepspeed", "transformers", "datasets", "tokenizers", "safetensors", "pyarrow", "numpy", "scipy",
    "pydantic", "mlflow", "ViennaRNA",
)  # fmt: skip


def version_of(library: str) -> str | None:
    """Installed version, or None."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def describe_environment() -> dict[str, Any]:
    """JSON-able: Python, libraries, processor, GPUs. Imports torch."""
    import torch

    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "gpus": gpus or "none",
        **({"cuda": torch.version.cuda} if gpus else {}),
        "ranks": int(os.environ.get("WORLD_SIZE", "1")),
        **{name: version for name in LIBRARIES if (version := version_of(name))},
    }


def save_environment(run_dir: Path) -> None:
    """Note it in a run folder, atomically. A resumed run notes its newest process."""
    partial = run_dir / f".{FILE_NAME}.partial"
    partial.write_text(json.dumps(describe_environment(), indent=1) + "\n", encoding="utf-8")
    partial.replace(run_dir / FILE_NAME)
