"""Tables that say which names are one contig: NCBI assembly reports, UCSC chromAlias, or columns of names.

- NCBI `*_assembly_report.txt`: a comment line names the columns; sequence name, GenBank, RefSeq and UCSC names count,
  and the assigned molecule of an assembled one.
- UCSC `chromAlias.txt`, new form: a comment line names the columns, each holds names. Old form: alias, name, source.
- anything else: tab-separated names of one contig on each line.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from data_prep.errors import DataPrepError
from data_prep.formats.text import numbered_lines

REPORT_NAMES = ("Sequence-Name", "GenBank-Accn", "RefSeq-Accn", "UCSC-style-name")
NO_NAME = frozenset(["", "na", "-", "."])
SOURCES = frozenset(["assembly", "ensembl", "genbank", "ncbi", "refseq", "ucsc", "custom", "gencode", "flybase"])


def read_aliases(path: str | Path) -> dict[str, frozenset[str]]:
    """Name -> all names of that contig, itself included; DataPrepError for a file without a line of two names."""
    groups: dict[str, set[str]] = {}
    for names in _lines_of_names(path):
        joined = set(names).union(*(groups.get(name, ()) for name in names))
        groups.update(dict.fromkeys(joined, joined))
    if all(len(group) < 2 for group in groups.values()):
        raise DataPrepError(
            f"{path}: no line with two names of a contig; give an NCBI assembly report, UCSC's chromAlias.txt, or a "
            "table with a tab between the names of one contig"
        )
    return {name: frozenset(group) for name, group in groups.items()}


def _lines_of_names(path: str | Path) -> Iterator[list[str]]:
    header: list[str] = []
    for number, line in numbered_lines(path):
        try:
            cells = [cell.strip() for cell in line.decode().split("\t")]
        except UnicodeDecodeError:
            raise DataPrepError(f"{path} line {number}: not UTF-8 text; convert the file (iconv -t utf-8)") from None
        if line.startswith(b"#"):
            if len(cells) > 1:
                header = [cells[0].lstrip("# "), *cells[1:]]
        elif line.strip():
            yield [name for name in _names(header, cells) if name not in NO_NAME]


def _names(header: list[str], cells: list[str]) -> Iterable[str]:
    if REPORT_NAMES[0] in header:
        row = dict(zip(header, cells, strict=False))
        names = [row.get(column, "") for column in REPORT_NAMES]
        return [*names, row.get("Assigned-Molecule", "")] if row.get("Sequence-Role") == "assembled-molecule" else names
    if not header and len(cells) == 3 and set(cells[2].split(",")) <= SOURCES:  # alias, name, who says so
        return cells[:2]
    if "source" in header:
        return [cell for column, cell in zip(header, cells, strict=False) if column != "source"]
    return cells
