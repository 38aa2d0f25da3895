"""Tables of clusters, as clustering programs write them: which records belong together.

`id<TAB>cluster` with a line for each record, or the other way round, `representative<TAB>member` (MMseqs2's
`*_cluster.tsv`). The records decide: their ids are in the first column, or else in the second. CD-HIT's `.clstr` is
read too, if it was written with whole names (`-d 0`). Blanks around a name are not part of it.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from xxhash import xxh3_64_intdigest

from data_prep.errors import DataPrepError, shown, shown_name
from data_prep.formats.text import numbered_lines

ABSENT = "no line for record"
UC_ADVICE = r"""of a .uc take columns 9 and 2 (awk '$1 != "C" {print $9 "\t" $2}' FILE)"""  # USEARCH, VSEARCH
CDHIT_MEMBER = re.compile(rb"\d+\t\d+(?:nt|aa), >(.+?)\.\.\. (?:\*|at )")


class ClusterTable:
    """Cluster of each id as a hash; ids and clusters are held as hashes, 16 bytes a line.

    Errors: DataPrepError naming the file and the record if one of `ids`, those of all records, is in no line, or in
    lines of different clusters.
    """

    def __init__(self, path: str | Path, ids: Iterable[str]):
        first, second = _read(path)
        names = list(ids)
        wanted = hashes(names)
        in_first, in_second = (np.isin(wanted, column) for column in (first, second))
        swapped = in_second.all() and not in_first.all()
        members, clusters = (second, first) if swapped else (first, second)
        present = in_second if swapped else in_first
        if not present.all():
            row = int(np.argmin(present))
            raise DataPrepError(
                f"{path}: {ABSENT} {shown_name(names[row])} (and {len(names) - int(present.sum()) - 1} more); expected "
                "id<TAB>cluster, or MMseqs2's representative<TAB>member"
            )
        order = np.lexsort((clusters, members))
        self._members, self._clusters = members[order], clusters[order]
        again = self._members[1:] == self._members[:-1]
        conflict = self._members[1:][again & (self._clusters[1:] != self._clusters[:-1])]
        if (rows := np.flatnonzero(np.isin(wanted, conflict))).size:
            raise DataPrepError(
                f"{path}: record {shown_name(names[rows[0]])} is in several clusters (as are {rows.size - 1} more); "
                "keep one line of each"
            )

    def look_up(self, ids: Iterable[str]) -> list[bytes]:
        """Keys of the clusters of ids (R,), 8 bytes each; every id must be one of those given before."""
        at = np.searchsorted(self._members, hashes(ids))
        return [cluster.to_bytes(8, "big") for cluster in self._clusters[at].tolist()]


def hashes(names: Iterable[str]) -> np.ndarray:
    """uint64 (R,): of R names."""
    return np.array([xxh3_64_intdigest(name.encode()) for name in names], np.uint64)


def _read(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of both columns, uint64 (R,) each."""
    columns: tuple[list[int], list[int]] = ([], [])
    cluster = b""  # of CD-HIT: a line `>Cluster 7`, then one for each member
    for number, line in numbered_lines(path):
        if not line.strip() or line.startswith(b"#"):
            continue
        if line.startswith(b">Cluster"):
            cluster = line
            continue
        member = CDHIT_MEMBER.match(line) if cluster else None
        fields = [member[1], cluster] if member else [field.strip() for field in line.split(b"\t")]
        if len(fields) != 2 or not all(fields):
            advice = (
                UC_ADVICE if len(fields) == 10 and fields[0] in (b"S", b"H", b"C") else "put one tab between the two"
            )
            raise DataPrepError(f"{path}: line {number} is not id<TAB>cluster: {shown(line)}; {advice}")
        for column, name in zip(columns, fields, strict=True):
            column.append(xxh3_64_intdigest(name))
    if not columns[0]:
        raise DataPrepError(f"{path}: empty, expected lines id<TAB>cluster")
    return np.array(columns[0], np.uint64), np.array(columns[1], np.uint64)
