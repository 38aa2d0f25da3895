"""``polymerase doctor``, ``python -m pretrain doctor``: what of the installation works, what is missing, what to do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pretrain.cli.command import Parser, as_json, command

EXAMPLE = """examples:
  python -m pretrain doctor
  python -m pretrain doctor --gpu --dir /scratch/runs     as on a cluster node, before a long run
  python -m pretrain doctor --json
  python -m pretrain doctor --job launch/slurm.sh --job launch/kubernetes.yaml     read job files, check nothing else

exit status: 0 everything that is needed works, 1 something is missing
"""


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Check; the exit status is in the help."""
    parser = Parser("python -m pretrain doctor", "Check the installation.", EXAMPLE)
    parser.add_argument("--dir", default=".", metavar="DIR", help="where runs and corpora will lie (default: here)")
    parser.add_argument("--gpu", action="store_true", help="a GPU is needed; without one the check fails")
    parser.add_argument(
        "--job", action="append", metavar="FILE",
        help="check this SLURM script, Kubernetes job or SkyPilot task, and nothing else; may be repeated",
    )  # fmt: skip
    parser.add_argument("--no-color", action="store_true", help="no colors (default: colors on a terminal only)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    args = parser.parse_args(arguments)

    if args.job and (args.gpu or args.dir != "."):
        parser.error("--job reads job files and checks nothing else: leave out --gpu and --dir")

    from pretrain.doctor import check_job_file, examine, render

    if args.job:
        findings, all_is_well = (
            [one for file in args.job for one in check_job_file(Path(file))],
            "the job files fit a run",
        )
    else:
        findings, all_is_well = examine(Path(args.dir), args.gpu), "everything that is needed works"
    healthy = not any(finding.state == "missing" for finding in findings)
    if args.json:
        print(as_json({"healthy": healthy, "findings": [finding._asdict() for finding in findings]}))
    else:
        print(render(findings, sys.stdout.isatty() and not args.no_color, all_is_well))
    return 0 if healthy else 1
