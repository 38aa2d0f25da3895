"""Leakage of a corpus: of its own validation split, or of a labeled set in a file."""

import csv
from collections.abc import Iterator
from pathlib import Path

from data_prep.corpus import Corpus, Ragged, open_corpus
from data_prep.errors import DataPrepError, shown, shown_name
from data_prep.filters.similarity import Leakage, leakage
from data_prep.filters.similarity.of_corpus import sequences_of
from data_prep.formats.fasta import is_sequence_file, read_fasta
from data_prep.formats.text import numbered_lines
from data_prep.nucleotides import ALPHABETS, AMBIGUOUS

SEQUENCE_COLUMNS = ("sequence", "seq", "utr5", "utr3", "utr")  # of tables, in any case
NUCLEOTIDES = ALPHABETS["rna"].letters + ALPHABETS["dna"].letters + AMBIGUOUS


def leakage_of(corpus: Corpus, against: str | None = None) -> Leakage:
    """Count the sequences of `against` (default: the validation split) with a relative in the train split.

    ``against``: a corpus (all its splits), FASTA, Stockholm, or a table with a header, commas or tabs.

    Raises:
        DataPrepError: names the corpus or the file.
    """
    if corpus.kind != "sequences":
        raise DataPrepError(f"{corpus.folder}: leakage: expected a corpus of sequences, got one of {corpus.kind}")
    held_out = sequences_of(corpus, "validation") if against is None else read_sequences(against)
    try:
        return leakage(sequences_of(corpus, "train"), held_out)
    except DataPrepError as error:
        raise DataPrepError(f"{against or corpus.folder}: {error}; give --leakage-against a set, or split") from None


def read_sequences(path: str) -> Ragged:
    """All sequences of a corpus or a file, in upper case."""
    if Path(path).is_dir():
        corpus = open_corpus(path)
        if corpus.kind != "sequences":
            raise DataPrepError(f"{path}: expected a corpus of sequences, got one of {corpus.kind}")
        return sequences_of(corpus, *corpus.splits)
    if is_sequence_file(path):
        return Ragged.from_rows([row for block in read_fasta(path) for row in block.sequences.rows()])
    lines = ((number, line) for number, line in numbered_lines(path) if line.strip())
    first = next(lines, None)
    if first is None:
        raise DataPrepError(f"{path}: empty, expected sequences or a table with a column sequence")
    rows = list(_of_table(path, first, lines))
    if not rows:
        raise DataPrepError(f"{path}: no sequence below the header")
    return Ragged.from_rows(rows)


def _of_table(path: str, header: tuple[int, bytes], lines: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
    separator = "\t" if b"\t" in header[1] else ","
    names = _fields(path, header, separator)
    spelled = [name.strip().lower() for name in names]
    found = [name for name in SEQUENCE_COLUMNS if name in spelled]
    if not found:
        raise DataPrepError(
            f"{path}: no column of sequences: expected one of {', '.join(SEQUENCE_COLUMNS)}, "
            f"got {', '.join(map(shown_name, names[:20]))}"
        )
    column = spelled.index(found[0])
    for number, line in lines:
        fields = _fields(path, (number, line), separator)
        if len(fields) != len(names):
            raise DataPrepError(f"{path}: line {number}: expected {len(names)} fields, got {len(fields)}")
        row = fields[column].strip().upper().encode()
        if not row or row.translate(None, NUCLEOTIDES):
            raise DataPrepError(
                f"{path}: line {number}: expected letters of nucleotides, got {shown(fields[column])}; "
                "correct or remove the line"
            )
        yield row


def _fields(path: str, line: tuple[int, bytes], separator: str) -> list[str]:
    try:
        return next(csv.reader([line[1].decode()], delimiter=separator, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataPrepError(f"{path}: line {line[0]}: not a line of a table ({error}); save it again") from None
