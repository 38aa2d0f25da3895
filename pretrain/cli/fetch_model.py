"""python launch/fetch_model.py OWNER/NAME --out HF_DIR: a model's folder from a Hugging Face hub."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pretrain.cli.command import Parser, command, program

EXAMPLE = """examples:
  python launch/fetch_model.py my-lab/my-rna-model --out exports/theirs
  python launch/fetch_model.py my-lab/my-rna-model --revision v2 --out exports/theirs-v2

No code in the folder is executed. Sizes and checksums are compared with those of the hub and written to SOURCE.json
with the commit. evaluate, probe, compare and model.init_from read the folder.

exit status: 0 fetched, 2 wrong input or an error of the hub
"""


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    result = Parser(
        prog=program("fetch_model"), description="Download the folder of a model and verify it.", epilog=EXAMPLE
    )
    result.add_argument("repo", metavar="OWNER/NAME", help="repository on the hub")
    result.add_argument("--out", required=True, metavar="HF_DIR", help="folder to write; must not exist or be empty")
    result.add_argument("--revision", metavar="NAME", help="branch, tag or commit (default: the main branch)")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Download; the exit status is in the help."""
    args = parser().parse_args(arguments)
    from pretrain.exporting.hub import fetch

    found = fetch(args.repo, Path(args.out), args.revision)
    size = sum(one["bytes"] for one in found["files"].values())
    print(f"wrote {args.out}: {len(found['files'])} files, {size:,} bytes, commit {found['commit']}")
    return 0
