"""Containment: sequences that lie whole inside a longer one, found by an installed program.

CD-HIT-EST (Fu et al. 2012) compares the given strand only (`-r 0`: RNA has a direction) and equals a substring test
here. MMseqs2's linclust (Steinegger and Soeding 2018) is faster on huge sets, but also takes reverse complements as
contained. Neither is part of this project: where both are missing, only equal sequences are found.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import DataPrepError
from data_prep.formats.text import numbered_lines


@dataclass(frozen=True)
class Clusterer:
    """A program. In `command`, `{fasta}`, `{out}`, `{scratch}` and `{threads}` are filled in when it is called."""

    name: str
    command: str
    suffix: str  # of the file with the representatives
    shortest_nt: int  # shorter sequences are not given to the program, and stay
    ask_version: tuple[str, ...]

    def version(self) -> str:
        """What the program says of itself."""
        shown = subprocess.run(self.ask_version, capture_output=True, text=True, check=False).stdout
        named = re.search(r"version (\S+)", shown)
        return named[1] if named else shown.strip()

    def representatives(self, fasta: Path, scratch: Path, threads: int) -> Iterator[int]:
        """Record numbers (the names in the FASTA) of the sequences that lie in no other one; raises DataPrepError."""
        out = scratch / "clusters"
        places = {"fasta": fasta, "out": out, "scratch": scratch / "clustering", "threads": threads}
        arguments = [word.format(**places) for word in self.command.split()]
        done = subprocess.run(arguments, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            raise DataPrepError(
                f"{self.name} ended with status {done.returncode}: {said[-1] if said else 'no message'}; "
                "mend it, or give --duplicates exact"
            )
        for _, line in numbered_lines(Path(f"{out}{self.suffix}")):
            if line.startswith(b">"):
                yield int(line[1:])


CLUSTERERS = {
    "cd-hit-est": Clusterer(
        "cd-hit-est",
        "cd-hit-est -i {fasta} -o {out} -c 1.0 -n 10 -r 0 -l 10 -d 0 -M 0 -T {threads}",
        suffix="",
        shortest_nt=11,
        ask_version=("cd-hit-est", "-h"),
    ),
    "mmseqs": Clusterer(
        "mmseqs",
        "mmseqs easy-linclust {fasta} {out} {scratch} --min-seq-id 1.0 -c 1.0 --cov-mode 1 --cluster-mode 2 -e inf "
        "--mask 0 --kmer-per-seq-scale 1 -k 12 --dbtype 2 --threads {threads} -v 1",
        suffix="_rep_seq.fasta",
        shortest_nt=12,
        ask_version=("mmseqs", "version"),
    ),
}


def find_clusterer(choice: str) -> Clusterer | None:
    """The named program, or with `auto` the first one that is installed (None if there is none)."""
    for name, program in CLUSTERERS.items():
        if choice in ("auto", name) and shutil.which(name):
            return program
    if choice != "auto":
        raise DataPrepError(f"{choice} is not on the PATH; install it, or give --cluster-with auto")
    return None
