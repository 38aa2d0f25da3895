"""Tables with a sequence and a label per row."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError

_LONGEST_FIELD = 1 << 30  # letters of one sequence; the csv module stops at 131,072
_FEW = 20  # different whole numbers that may still be classes


@dataclass(frozen=True)
class LabelledSequences:
    """labels: int64 (S,) classes in the order of ``classes``, or float64 (S,) where ``classes`` is empty."""

    ids: list[str]
    sequences: Ragged
    labels: np.ndarray
    classes: tuple[str, ...]

    @property
    def is_classification(self) -> bool:
        return bool(self.classes)


def read_columns(path: Path, sequence: str, label: str) -> tuple[list[str], list[bytes], list[str]]:
    """Ids (line numbers), sequences and label texts of a .csv or .tsv file with a header line.

    Raises:
        PolymeraseError: no such column, or a row without a sequence or a label, with its line.
    """
    rows = read_rows(path, (sequence, label))
    letters = [row[sequence].strip().upper().encode("ascii", "replace") for row in rows.values()]
    return [f"line {line}" for line in rows], letters, [row[label].strip() for row in rows.values()]


def is_table(path: Path) -> bool:
    """By its name: .csv, .tsv or .txt, each also with .gz."""
    return Path(path.name.removesuffix(".gz")).suffix in (".csv", ".tsv", ".txt")


def read_rows(path: Path, needed: tuple[str, ...]) -> dict[int, dict[str, str]]:
    """Line number -> its columns, of a table with a header line (also .gz); ``needed`` columns are filled.

    Columns are parted by tabs where the header has one, else by commas.

    Raises:
        PolymeraseError: no such column, or a row without a value in it, with its line.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        with _opened(path) as file:
            header = file.readline()
            names = next(csv.reader([header], delimiter=(delimiter := "\t" if "\t" in header else ",")), [])
            reader = csv.DictReader(file, names, delimiter=delimiter)
            rows = dict((reader.line_num + 1, row) for row in reader)  # noqa: C402 (the number moves with the row)
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise PolymeraseError(f"{path}: cannot be read as a table: {error}") from None
    except OSError as error:
        raise PolymeraseError(f"{path}: {error.strerror}") from None
    if not rows:
        raise PolymeraseError(f"{path}: no rows below the header")
    for column in needed:
        if column not in names:
            raise PolymeraseError(f"{path}: no column {column!r}; there are {', '.join(names)}")
    for line, row in rows.items():
        for column in needed:
            if not (row[column] or "").strip():
                raise PolymeraseError(f"{path}: line {line}: no {column}")
    return rows


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def labels_of_headers(source: str, headers: list[str], field: str) -> list[str]:
    """Word number ``field`` (1 is the id) of each FASTA header, or its ``last`` one."""
    if field == "last":
        field_of_header = -1
    elif field.isdigit() and int(field) >= 2:
        field_of_header = int(field) - 1
    else:
        raise PolymeraseError(f"--label {field}: of a FASTA give the number of the header's word, 2 or more, or last")
    labels = []
    for header in headers:
        words = header.split()
        if len(words) <= max(field_of_header, 0):
            raise PolymeraseError(f"{source}: header {header[:60]!r} has no word number {field}")
        labels.append(words[field_of_header])
    return labels


def as_task(
    source: str, ids: list[str], sequences: Ragged, texts: list[str], task: str, folds: int
) -> LabelledSequences:
    """Labels as numbers, enough of each for cross-validation.

    Args:
        task: ``classification``, ``regression``, or ``auto``, see :func:`with_labels`.

    Raises:
        PolymeraseError: a label that is no number, a class with fewer rows than folds, or one class only.
    """
    if len(texts) < folds:
        raise PolymeraseError(f"{source}: {len(texts)} rows, fewer than {folds} folds; lower --folds")
    table = with_labels(source, ids, sequences, texts, task)
    if not table.is_classification and len(texts) < 2 * folds:
        raise PolymeraseError(f"{source}: {len(texts)} rows, fewer than two in each of {folds} folds; lower --folds")
    name, fewest = min(Counter(texts).items(), key=lambda item: item[1])
    if table.is_classification and fewest < folds:
        raise PolymeraseError(f"{source}: class {name!r} has {fewest} rows, fewer than {folds} folds; lower --folds")
    return table


def with_labels(source: str, ids: list[str], sequences: Ragged, texts: list[str], task: str) -> LabelledSequences:
    """Labels as numbers: classes, or values.

    Args:
        task: ``classification``, ``regression``, or ``auto``: values where every label is a finite number and either
            one has a fraction or there are more than 20 different ones.

    Raises:
        PolymeraseError: a label that is no number among numbers, or one class only.
    """
    numbers = [_number(text) for text in texts]
    _check_mixed(source, ids, texts, numbers, task)
    if task == "auto":
        task = "regression" if None not in numbers and _look_like_values(numbers) else "classification"
    if task == "regression":
        return LabelledSequences(ids, sequences, np.array(numbers, np.float64), ())
    classes = tuple(sorted(set(texts)))
    if len(classes) < 2:
        raise PolymeraseError(f"{source}: all labels are {texts[0]!r}; a probe needs two classes")
    place = {name: number for number, name in enumerate(classes)}
    return LabelledSequences(ids, sequences, np.array([place[text] for text in texts], np.int64), classes)


def _look_like_values(numbers: list[float | None]) -> bool:
    real = {number for number in numbers if number is not None}
    return len(real) > _FEW or any(number != int(number) for number in real)


def _check_mixed(source: str, ids: list[str], texts: list[str], numbers: list[float | None], task: str) -> None:
    """Among numbers, a label that is none (nan, inf, text) is a mistake of its row, not a class."""
    wrong = [row for row, number in enumerate(numbers) if number is None]
    mostly = len(wrong) < len(texts) / 2 and _look_like_values(numbers)
    if wrong and (task == "regression" or (task == "auto" and mostly)):
        raise PolymeraseError(
            f"{source}: {ids[wrong[0]]}: label {texts[wrong[0]]!r} is no finite number ({len(wrong)} of {len(texts)} "
            "are none); leave such rows out, or say --task classification if labels are classes"
        )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
