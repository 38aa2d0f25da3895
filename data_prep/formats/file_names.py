"""Several input files: none given twice, and names that tell them apart."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from data_prep.errors import DataPrepError

_HOME = re.compile(r"((?:--)?[A-Za-z_][\w.-]*=)?~(?=/|$)")


def at_home(word: str) -> str:
    """A word of a command line with the home folder for `~`: shells leave it in `--out=~/x` and `run.dir=~/x`."""
    found = _HOME.match(word)
    return f"{found[1] or ''}{os.path.expanduser('~')}{word[found.end() :]}" if found else word


def refuse_repeated_files(files: Sequence[str | Path]) -> None:
    """DataPrepError where one file is given twice: all it holds would count twice."""
    if [str(file) for file in files].count("-") > 1:
        raise DataPrepError("standard input (-) can be read only once")
    resolved = Counter(Path(file).resolve() for file in files if str(file) != "-")
    for file in files:
        if resolved[Path(file).resolve()] > 1:
            raise DataPrepError(f"{file}: given twice; give each file once")


def distinct_names(files: Sequence[str | Path]) -> list[str]:
    """The last parts of each path, as many as it takes to tell all of them apart (`x.fa`, or `a/x.fa` and `b/x.fa`)."""
    paths = [Path(file).resolve() if str(file) != "-" else Path("-") for file in files]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names
