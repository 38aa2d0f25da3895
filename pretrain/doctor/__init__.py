"""Checks of an installation. Each does the thing itself, small, rather than asking whether it could be done."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pretrain.doctor.devices import check_collectives, check_compilers, check_gpus
from pretrain.doctor.finding import Finding
from pretrain.doctor.job_files import check_job_file
from pretrain.doctor.storage import check_disk, check_shared_memory, check_tracking
from pretrain.doctor.versions import check_folding, check_libraries, check_python, check_training

Check = Callable[[], Iterator[Finding]]
_MARKS = {"ok": ("ok", "32"), "note": ("note", "33"), "missing": ("MISSING", "31")}


def checks(folder: Path, needs_gpu: bool) -> dict[str, Check]:
    """Return name -> check, in the order in which they are made."""
    return {
        "python": check_python,
        "libraries": check_libraries,
        "gpus": partial(check_gpus, needs_gpu),
        "collectives": check_collectives,
        "compilers": check_compilers,
        "training": check_training,
        "folding": check_folding,
        "disk": partial(check_disk, folder),
        "shared memory": check_shared_memory,
        "tracking": check_tracking,
    }


def examine(folder: Path, needs_gpu: bool) -> list[Finding]:
    """Make all checks. One that fails in an unforeseen way is a finding too."""
    findings: list[Finding] = []
    for name, check in checks(folder, needs_gpu).items():
        try:
            findings += check()
        except Exception as error:  # whatever a broken installation raises
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            findings.append(
                Finding(name, "missing", f"the check itself failed: {reason}", "see the library's own help")
            )
    return findings


def render(findings: list[Finding], color: bool, healthy: str = "everything that is needed works") -> str:
    """Format one line per finding, with the advice below it, and how many are missing, or ``healthy``."""
    color = color and "NO_COLOR" not in os.environ
    lines = []
    for finding in findings:
        mark, code = _MARKS[finding.state]
        shown = f"\x1b[{code}m{mark:<8}\x1b[0m" if color else f"{mark:<8}"
        lines.append(f"{shown}{finding.name:<16} {finding.detail}")
        if finding.advice:
            lines.append(f"{'':<24} {finding.advice}")
    missing = sum(finding.state == "missing" for finding in findings)
    return "\n".join([*lines, "", f"{missing} missing" if missing else healthy])


__all__ = ["Finding", "check_job_file", "checks", "examine", "render"]
