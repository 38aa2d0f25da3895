"""Containment: sequences that lie whole inside a longer one, found by an installed program.

One definition for all programs: a sequence is dropped only if it is, letter by letter and on its own strand, part of
the representative of its cluster (RNA has a direction). CD-HIT-EST (Fu et al. 2012) with `-r 0` decides so itself.
MMseqs2's linclust (Steinegger and Soeding 2018) is faster on huge sets and clusters reverse complements too; its table
is checked, and members that are not part of their representative stay. Linclust compares sequences that share k-mers it
chose, so it may leave some that CD-HIT drops. If no program is installed, only equal sequences are found.
"""

import re
import shutil
import subprocess
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np

from data_prep.errors import DataPrepError
from data_prep.formats.text import numbered_lines


@dataclass(frozen=True)
class Clusterer:
    """A program. In `command`, `{fasta}`, `{out}`, `{scratch}` and `{threads}` are filled in when it is called."""

    name: str
    command: str
    suffix: str  # of the file with the representatives, or of the table representative<TAB>member
    drops: str  # the relation by which a sequence is dropped, for manifests and reports
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
                "fix it, or give --duplicates drop"
            )
        written = Path(f"{out}{self.suffix}")
        if self.suffix.endswith(".tsv"):
            yield from _not_contained(fasta, written)
            return
        for _, line in numbered_lines(written):
            if line.startswith(b">"):
                yield int(line[1:])


def _not_contained(fasta: Path, table: Path) -> Iterator[int]:
    """Members of the table that are not part of their representative, and the representatives."""
    with open(fasta, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
        numbers, starts = _places(text)
        for _, line in numbered_lines(table):
            pair = np.array(line.split(b"\t"), np.int64)
            at = np.searchsorted(numbers, pair)
            representative, member = (text[start : text.find(b"\n", start)] for start in starts[at].tolist())
            if pair[0] == pair[1] or member not in representative:
                yield int(pair[1])


def _places(text: mmap) -> tuple[np.ndarray, np.ndarray]:
    """Of lines `>number`, letters, …: the numbers, ascending, int64 (R,), and where the letters begin, int64 (R,)."""
    numbers, starts = array("q"), array("q")
    at = 0
    while at < len(text):
        end = text.find(b"\n", at)
        numbers.append(int(text[at + 1 : end]))
        starts.append(end + 1)
        at = text.find(b"\n", end + 1) + 1
    return np.frombuffer(numbers, np.int64), np.frombuffer(starts, np.int64)


CLUSTERERS = {
    "cd-hit-est": Clusterer(
        "cd-hit-est",
        "cd-hit-est -i {fasta} -o {out} -c 1.0 -n 10 -r 0 -l 10 -d 0 -M 0 -T {threads}",
        suffix="",
        drops="part of a longer sequence, same strand",
        shortest_nt=11,
        ask_version=("cd-hit-est", "-h"),
    ),
    "mmseqs": Clusterer(
        "mmseqs",
        "mmseqs easy-linclust {fasta} {out} {scratch} --min-seq-id 1.0 -c 1.0 --cov-mode 1 --cluster-mode 2 -e inf "
        "--mask 0 --kmer-per-seq-scale 1 -k 12 --dbtype 2 --threads {threads} -v 1",
        suffix="_cluster.tsv",
        drops="part of the representative MMseqs2 chose, same strand; some containments are not found",
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
