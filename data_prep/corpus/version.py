"""Version and commit of this project, for commands and for what they write."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "polymerase-lm"  # `polymerase` on the package index is somebody else's
_ROOT = Path(__file__).resolve().parents[2]


def version_of(library: str) -> str | None:
    """Return the installed version of a library, or None."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


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


def describe_version(libraries: tuple[str, ...]) -> str:
    """Return one line: version, commit, Python and the libraries that results depend on. Imports none of them."""
    of = ", ".join(f"{name} {version_of(name)}" for name in libraries)
    return f"{DISTRIBUTION} {project_version()} (commit {commit() or 'unknown'}), Python {sys.version.split()[0]}, {of}"
