"""Motif files as they are published: tables (ATtRACT), matrices (MEME, JASPAR, CISBP, HOMER, TRANSFAC), plain lists."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from data_prep.errors import DataPrepError, shown
from data_prep.formats.text import numbered_lines
from data_prep.motifs.matrix import Matrix, NumberedLine, consensus, read_matrix
from data_prep.motifs.meme import MARKUP, is_meme, read_meme

MOTIF_COLUMNS = ("motif", "sequence")
SOURCE_COLUMNS = ("source", "database")
SOURCE_LINE = "# source: "
COMPRESSED = re.compile(r"\.(gz|bgz|bz2|xz|zst)$")
LETTER_HEADER = re.compile(r"""(?i)\s*([^\s,]+[\s,]+)?"?A"?[\s,]+"?C"?[\s,]+"?G"?[\s,]+"?[TU]"?\s*""")
NUMBERS = re.compile(r"""(?i)\s*("?[ACGTU]?"?[\s,]*[-+.\d]|"?\w+"?[\s,]+([-+.\d][^\s,]*[\s,]+){3}[-+.\d])""")
NAMED_ROW = re.compile(r"(?i)[ACGTU]\s*[:|\[]?\s*[-+\d.]")
TRANSFAC_FIELD = re.compile(r"[A-Z]{2}(\s|$)")


class RawMotif(NamedTuple):
    """A motif as a file has it."""

    text: str  # as written, or the consensus of a matrix; empty for a matrix that is flat
    source: str
    place: str  # file and line, for messages


def read_motifs(path: str | Path, min_probability: float) -> Iterator[RawMotif]:
    """All motifs of a file, in its order; the format is told by its content.

    A table has tabs and a column `Motif` or `Sequence` (ATtRACT_db.txt); its column `Database` or `source`, where there
    is one, names the source, elsewhere the file does. `min_probability` concerns matrices (`consensus`).
    Raises DataPrepError, naming file and line, for a line that is no motif.
    """
    lines = [(number, _text(path, number, line)) for number, line in numbered_lines(path)]
    filled = [(number, line) for number, line in lines if line.strip() and not line.startswith("#")]
    if not filled:
        raise DataPrepError(f"{path}: no motif in it; expected a table, a list or matrices of motifs")
    name = COMPRESSED.sub("", Path(path).name)
    stem = name.rpartition(".")[0] or name
    matrices = _matrices(str(path), filled)
    if matrices is not None:
        for number, matrix in matrices:
            yield RawMotif(consensus(matrix, min_probability), stem, f"{path} line {number}")
    elif filled[0][1].startswith(">"):
        for number, line in filled:
            if not line.startswith(">"):
                yield RawMotif(line.strip(), stem, f"{path} line {number}")
    elif "\t" in filled[0][1]:
        yield from _table(path, filled, stem)
    else:
        yield from _list(path, lines, stem)


def _matrices(path: str, filled: list[NumberedLine]) -> Iterable[tuple[int, Matrix]] | None:
    """(line, matrix) of each motif; None for a file of motifs in letters."""
    first = filled[0][1]
    if is_meme(filled):
        return read_meme(path, filled)
    if MARKUP.match(first):
        raise DataPrepError(f"{path}: this is markup (XML or HTML); give the text output, e.g. meme.txt or streme.txt")
    if first.startswith(">"):
        blocks = _blocks(filled, lambda line: line.startswith(">"))
        if not any(re.match(r"[\s\d\[]|[ACGTUacgtu]\s*[\[|:\d ]", line) for _, line in filled if line[0] != ">"):
            return None
        return [(number, read_matrix(path, rows)) for (number, _), *rows in blocks]
    if any(re.match(r"P[O0]\s", line) for _, line in filled) and TRANSFAC_FIELD.match(first):
        rows = [entry for entry in filled if re.match(r"P[O0]\s|\d", entry[1])]
        return [(block[0][0], read_matrix(path, block)) for block in _blocks(rows, lambda line: line[0] == "P")]
    if any(LETTER_HEADER.fullmatch(line) for _, line in filled[:20]):
        rows = [entry for entry in filled if LETTER_HEADER.fullmatch(entry[1]) or NUMBERS.match(entry[1])]
        blocks = _blocks(rows, lambda line: bool(LETTER_HEADER.fullmatch(line)))
        return [(block[0][0], read_matrix(path, block)) for block in blocks]
    if NAMED_ROW.match(first):
        return [(filled[at][0], read_matrix(path, filled[at : at + 4])) for at in range(0, len(filled), 4)]
    return None


def _blocks(lines: list[NumberedLine], begins) -> list[list[NumberedLine]]:
    """The lines from each one that begins a motif to the next."""
    blocks: list[list[NumberedLine]] = []
    for number, line in lines:
        if begins(line) or not blocks:
            blocks.append([])
        blocks[-1].append((number, line))
    return blocks


def _table(path: str | Path, filled: list[NumberedLine], stem: str) -> Iterator[RawMotif]:
    header = [cell.strip().lower() for cell in filled[0][1].split("\t")]
    motif = next((header.index(name) for name in MOTIF_COLUMNS if name in header), None)
    source = next((header.index(name) for name in SOURCE_COLUMNS if name in header), None)
    if motif is None:
        raise DataPrepError(
            f"{path} line {filled[0][0]}: a table without a column Motif or Sequence in its first line; name it so"
        )
    for number, line in filled[1:]:
        cells = line.split("\t")
        if line == filled[0][1]:  # tables put together with `cat`
            continue
        if len(cells) <= max(motif, source or 0):
            raise DataPrepError(
                f"{path} line {number}: {len(cells)} columns where the first line has {len(header)}; fill in or remove "
                "the line"
            )
        if not cells[motif].strip():
            raise DataPrepError(f"{path} line {number}: an empty motif; fill in or remove the line")
        named = cells[source].strip() if source is not None else ""
        yield RawMotif(cells[motif].strip(), named or stem, f"{path} line {number}")


def _list(path: str | Path, lines: list[NumberedLine], stem: str) -> Iterator[RawMotif]:
    source = stem
    for number, line in lines:
        if line.startswith(SOURCE_LINE):
            source = line.removeprefix(SOURCE_LINE).strip()
        elif line.strip() and not line.startswith("#"):
            yield RawMotif(line.strip(), source, f"{path} line {number}")


def _text(path: str | Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise DataPrepError(f"{path} line {number}: not UTF-8 text ({shown(line)}); save it as UTF-8") from None
