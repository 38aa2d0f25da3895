"""python launch/push.py HF_DIR --repo OWNER/NAME: an exported folder to a Hugging Face hub."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pretrain.cli.command import Parser, command, program

EXAMPLE = """examples:
  python launch/push.py exports/mine --repo my-lab/my-rna-model
  python launch/push.py exports/mine --repo my-lab/my-rna-model --public --revision v2

A new repository is private unless you give --public. The token comes from `hf auth login` or HF_TOKEN. HF_ENDPOINT
selects a hub other than huggingface.co. A card without a license is refused.

exit status: 0 uploaded, 2 wrong input or an error of the hub
"""


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    result = Parser(
        prog=program("push"), description="Upload a verified export with its model card, in one commit.", epilog=EXAMPLE
    )
    result.add_argument("folder", metavar="HF_DIR", help="folder written by export or convert")
    result.add_argument("--repo", required=True, metavar="OWNER/NAME", help="repository; created if it does not exist")
    result.add_argument("--public", action="store_true", help="visibility of a new repository (default: private)")
    result.add_argument("--revision", metavar="BRANCH", help="branch to write to (default: the main branch)")
    result.add_argument("--message", default="", metavar="TEXT", help="of the commit")
    result.add_argument("--check", action="store_true", help="check folder and name; upload nothing")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Upload; the exit status is in the help."""
    args = parser().parse_args(arguments)
    from pretrain.exporting.hub import check_folder, check_name, push

    folder = Path(args.folder)
    if args.check:
        matter = check_folder(folder)
        print(f"{folder} can be pushed to {check_name(args.repo)} ({matter['license']})")
        return 0
    print(push(folder, args.repo, private=not args.public, revision=args.revision, message=args.message))
    return 0
