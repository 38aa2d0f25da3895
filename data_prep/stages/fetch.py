"""Download the public raw files that the recipes start from, by name and release.

A download that breaks off goes on where it stopped, in this run or the next one. A file appears under its name only
when its size and, where one is published, its md5 are right; beside it FILE.origin.json tells where it came from.
`--list` shows the names.

example:
  python -m data_prep fetch gencode_genome gencode_gtf --release 40 --out raw
"""

import argparse
import difflib
from pathlib import Path

from data_prep.errors import DataPrepError
from data_prep.fetch.fetch import fetch_file
from data_prep.fetch.table import FILES, GROUPS
from data_prep.runtime.console import refuse_beside


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"names of --list, or a group: {', '.join(GROUPS)}")
    parser.add_argument("--list", action="store_true", help="show names, default releases and URLs")
    parser.add_argument("--release", help="another release than the default one, for all names")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder (default raw)")
    parser.add_argument("--mirror", metavar="URL", help="take the same paths from this server instead")


def run(args: argparse.Namespace) -> int:
    """Download; exit status."""
    if args.list:
        if args.names:
            raise DataPrepError(f"{args.names[0]} has no effect with --list; leave one of them out")
        for name in ("release", "out", "mirror"):
            refuse_beside(args, name, "--list")
        for name, file in FILES.items():
            print(f"{name:<26} {file.release or '-':<5} {file.about}: {file.url}")
        return 0
    if not args.names:
        raise DataPrepError("give the name of a file; --list shows them")
    names = [member for given in args.names for member in GROUPS.get(given, [given])]
    for name in names:
        if name not in FILES:
            near = difflib.get_close_matches(name, [*FILES, *GROUPS], n=1, cutoff=0.4)
            raise DataPrepError(
                f"unknown file {name!r}; {f'did you mean {near[0]!r}? ' if near else ''}--list shows all"
            )
        if args.release and not FILES[name].release:
            raise DataPrepError(f"{name} has no releases; leave out --release")
    for name in names:
        file = FILES[name]
        fetch_file(file.at(args.release or file.release), args.out or Path("raw"), args.mirror)
    return 0
