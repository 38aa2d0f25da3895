"""Motif files as they are published: ATtRACT's table, MEME files, plain lists (SpliceAid, Statistics, our own)."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from data_prep.errors import DataPrepError
from data_prep.formats.text import numbered_lines
from data_prep.motifs.meme import read_meme

MOTIF_COLUMNS = ("motif", "sequence")
SOURCE_COLUMNS = ("source", "database")
SOURCE_LINE = "# source: "


class RawMotif(NamedTuple):
    text: str  # as written
    source: str
    place: str  # file and line, for messages


def read_motifs(path: str | Path, min_probability: float) -> Iterator[RawMotif]:
    """All motifs of a file, in its order; the format is told by its first line.

    A table has tabs and a column `Motif` or `Sequence` (ATtRACT_db.txt); its column `Database` or `source`, where there
    is one, names the source, elsewhere the file does. `min_probability` concerns MEME files (see there).
    Raises DataPrepError, naming file and line, for a line that is no motif.
    """
    lines = [(number, _text(path, number, line)) for number, line in numbered_lines(path)]
    filled = [(number, line) for number, line in lines if line.strip() and not line.startswith("#")]
    if not filled:
        raise DataPrepError(f"{path}: no motif in it")
    name = Path(path).name.removesuffix(".gz")
    stem = name.rpartition(".")[0] or name
    if filled[0][1].startswith("MEME version"):
        for number, text in read_meme(str(path), filled, min_probability):
            yield RawMotif(text, stem, f"{path} line {number}")
    elif "\t" in filled[0][1]:
        yield from _table(path, filled, stem)
    else:
        yield from _list(path, lines, stem)


def _table(path: str | Path, filled: list[tuple[int, str]], stem: str) -> Iterator[RawMotif]:
    header = [cell.strip().lower() for cell in filled[0][1].split("\t")]
    motif = next((header.index(name) for name in MOTIF_COLUMNS if name in header), None)
    source = next((header.index(name) for name in SOURCE_COLUMNS if name in header), None)
    if motif is None:
        raise DataPrepError(f"{path} line {filled[0][0]}: a table without a column Motif or Sequence in its first line")
    for number, line in filled[1:]:
        cells = line.split("\t")
        if len(cells) <= max(motif, source or 0):
            raise DataPrepError(f"{path} line {number}: {len(cells)} columns where the first line has {len(header)}")
        named = cells[source].strip() if source is not None else ""
        yield RawMotif(cells[motif].strip(), named or stem, f"{path} line {number}")


def _list(path: str | Path, lines: list[tuple[int, str]], stem: str) -> Iterator[RawMotif]:
    source = stem
    for number, line in lines:
        if line.startswith(SOURCE_LINE):
            source = line.removeprefix(SOURCE_LINE).strip()
        elif line.strip() and not line.startswith("#"):
            yield RawMotif(line.strip(), source, f"{path} line {number}")


def _text(path: str | Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise DataPrepError(f"{path} line {number}: not UTF-8 text, so no motif file") from None
