"""Python, the libraries and their versions, and that the central ones do their work."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from data_prep.corpus.version import version_of
from pretrain.doctor.finding import Finding

_PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
_OLDEST_PYTHON = (3, 11)


def check_python() -> Iterator[Finding]:
    """Compare the version of Python with the oldest supported one."""
    version = sys.version.split()[0]
    if sys.version_info >= _OLDEST_PYTHON:
        yield Finding("python", "ok", version)
    else:
        yield Finding("python", "missing", f"{version} is too old", "install Python 3.11 or newer")


def check_libraries() -> Iterator[Finding]:
    """Compare the version of every dependency with the required one."""
    from packaging.requirements import Requirement

    fitting = []
    for requirement in map(Requirement, _requirements()):
        version = version_of(requirement.name)
        wanted = str(requirement)
        if version is None:
            yield Finding(requirement.name, "missing", "not installed", f"pip install '{wanted}'")
        elif not requirement.specifier.contains(version, prereleases=True):
            yield Finding(
                requirement.name, "missing", f"{version}, needs {requirement.specifier}", f"pip install '{wanted}'"
            )
        else:
            fitting.append(f"{requirement.name} {version}")
    yield Finding("libraries", "ok", ", ".join(fitting))


def _requirements() -> list[str]:
    """Of the checkout, or of the installed distribution."""
    if _PYPROJECT.is_file():
        return tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    return [text for text in metadata.requires("polymerase") or () if "extra ==" not in text]


def check_training() -> Iterator[Finding]:
    """Import DeepSpeed the way a run imports it."""
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed

    yield Finding("deepspeed", "ok", f"{deepspeed.__version__} with torch {torch.__version__}")


def check_folding() -> Iterator[Finding]:
    """Fold a hairpin with ViennaRNA."""
    try:
        import RNA
    except ImportError:
        yield Finding(
            "ViennaRNA", "missing", "not installed: corpora cannot be folded", "pip install ViennaRNA (UTR-LM needs it)"
        )
        return
    structure, energy = RNA.fold("GGGGAAAACCCC")
    good = structure == "((((....))))" and energy < 0
    found = f"{RNA.__version__}, folds GGGGAAAACCCC to {structure} ({energy:.1f})"
    yield Finding(
        "ViennaRNA", "ok" if good else "missing", found,
        "" if good else "expected ((((....)))) with a negative energy: install it again",
    )  # fmt: skip
