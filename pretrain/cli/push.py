"""python launch/push.py FOLDER --repo OWNER/NAME: an exported folder or a corpus to a Hugging Face hub."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pretrain.cli.command import Parser, command, program
from pretrain.errors import PolymeraseError

if TYPE_CHECKING:
    from pretrain.exporting.publish import Publication

EXAMPLE = """examples:
  python launch/push.py exports/mine --repo my-lab/my-rna-model
  python launch/push.py exports/mine --repo my-lab/my-rna-model --public --revision v2
  python launch/push.py corpora/rnas --repo my-lab/rnas --license cc0-1.0
  python launch/push.py exports/mine --repo my-lab/my-rna-model --collection my-lab/rna-models-64f9a55bb3115b4f513ec026

A corpus becomes a dataset: its files are compared with their checksums first, and its card is the README.md in it, or
the one that `python -m data_prep card` makes. A card without a license is refused. A new repository is private unless
you give --public. The token comes from `hf auth login` or HF_TOKEN. HF_ENDPOINT selects a hub other than
huggingface.co.

exit status: 0 uploaded, 2 wrong input or an error of the hub
"""


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    result = Parser(
        prog=program("push"), description="Upload a verified export or a corpus with its card, in one commit.",
        epilog=EXAMPLE,
    )  # fmt: skip
    result.add_argument("folder", metavar="FOLDER", help="folder written by export or convert, or a corpus")
    result.add_argument("--repo", required=True, metavar="OWNER/NAME", help="repository; created if it does not exist")
    result.add_argument("--public", action="store_true", help="visibility of a new repository (default: private)")
    result.add_argument("--revision", metavar="BRANCH", help="branch to write to (default: the main branch)")
    result.add_argument("--message", default="", metavar="TEXT", help="of the commit")
    result.add_argument("--license", metavar="ID", help="of the sources of a corpus that has no card yet")
    result.add_argument("--collection", metavar="OWNER/TITLE-ID", help="of the hub: linked on the card, and added to")
    result.add_argument("--dataset", metavar="OWNER/NAME", help="corpus of a model on the hub, linked on the card")
    result.add_argument("--check", action="store_true", help="check folder and name; upload nothing")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Upload; the exit status is in the help."""
    args = parser().parse_args(arguments)
    from data_prep.corpus.manifest import FILE_NAME
    from pretrain.exporting.hub import check_name
    from pretrain.exporting.publish import model_publication, push

    folder, name = Path(args.folder), check_name(args.repo)
    if (folder / FILE_NAME).is_file():
        found = _corpus(folder, name, args.license)
    elif args.license is not None:
        raise PolymeraseError(f"--license has no effect on a model; write it with `export --license {args.license}`")
    else:
        found = model_publication(folder)
    if args.check:
        print(f"{folder} can be pushed to {name} ({found.license})")
        return 0
    options = {"revision": args.revision, "message": args.message}
    options |= {"collection": args.collection, "dataset": args.dataset}
    print(push(found, name, private=not args.public, **options))
    return 0


def _corpus(folder: Path, name: str, license: str | None) -> Publication:
    """The card is the one in the folder, or made now."""
    from data_prep.corpus import open_corpus
    from data_prep.inspection.card import card_of
    from pretrain.exporting.publish import CARD, corpus_publication

    corpus = open_corpus(folder, verify=True)
    if not (folder / CARD).is_file():
        text = card_of(corpus, name.partition("/")[2], license or "unknown", repository=name)
    elif license is not None:
        raise PolymeraseError(f"--license has no effect: {folder / CARD} is the card; write {license} there")
    else:
        text = (folder / CARD).read_text(encoding="utf-8")
    return corpus_publication(corpus, text)
