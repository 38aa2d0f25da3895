"""Tables with a sequence and a label per row."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError


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
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t" if path.suffix in (".tsv", ".txt") else ","))
    except OSError as error:
        raise PolymeraseError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise PolymeraseError(f"{path}: cannot be read as a table: {error}") from None
    if not rows:
        raise PolymeraseError(f"{path}: no rows below the header")
    for column in (sequence, label):
        if column not in rows[0]:
            raise PolymeraseError(f"{path}: no column {column!r}; there are {', '.join(map(str, rows[0]))}")
    for number, row in enumerate(rows, 2):
        if not row[sequence] or not row[label]:
            raise PolymeraseError(f"{path}: line {number}: no {sequence if not row[sequence] else label}")
    letters = [row[sequence].strip().upper().encode("ascii", "replace") for row in rows]
    return [f"line {number}" for number in range(2, len(rows) + 2)], letters, [row[label].strip() for row in rows]


def labels_of_headers(source: str, headers: list[str], field: str) -> list[str]:
    """Word number ``field`` (1 is the id) of each FASTA header."""
    if not field.isdigit() or int(field) < 2:
        raise PolymeraseError(f"--label {field}: of a FASTA give the number of the header's word, 2 or more")
    labels = []
    for header in headers:
        words = header.split()
        if len(words) < int(field):
            raise PolymeraseError(f"{source}: header {header[:60]!r} has no word number {field}")
        labels.append(words[int(field) - 1])
    return labels


def as_task(
    source: str, ids: list[str], sequences: Ragged, texts: list[str], task: str, folds: int
) -> LabelledSequences:
    """Labels as numbers: classes, or values.

    Args:
        task: ``classification``, ``regression``, or ``auto``: values where every label is a number and there are more
            than 20 different ones.

    Raises:
        PolymeraseError: a label that is no number, a class with fewer rows than folds, or one class only.
    """
    if len(texts) < folds:
        raise PolymeraseError(f"{source}: {len(texts)} rows, fewer than {folds} folds; lower --folds")
    numbers = [_number(text) for text in texts]
    _check_mixed(source, ids, texts, numbers, task)
    if task == "auto":
        task = "regression" if None not in numbers and len(set(numbers)) > 20 else "classification"
    if task == "regression":
        if len(texts) < 2 * folds:
            raise PolymeraseError(
                f"{source}: {len(texts)} rows, fewer than two in each of {folds} folds; lower --folds"
            )
        return LabelledSequences(ids, sequences, np.array(numbers, np.float64), ())
    counts = Counter(texts)
    if len(counts) < 2:
        raise PolymeraseError(f"{source}: all labels are {texts[0]!r}; a probe needs two classes")
    name, fewest = min(counts.items(), key=lambda item: item[1])
    if fewest < folds:
        raise PolymeraseError(f"{source}: class {name!r} has {fewest} rows, fewer than {folds} folds; lower --folds")
    classes = tuple(sorted(counts))
    place = {name: number for number, name in enumerate(classes)}
    return LabelledSequences(ids, sequences, np.array([place[text] for text in texts], np.int64), classes)


def _check_mixed(source: str, ids: list[str], texts: list[str], numbers: list[float | None], task: str) -> None:
    """Among numbers, a label that is none (nan, inf, text) is a mistake of its row, not a class."""
    wrong = [row for row, number in enumerate(numbers) if number is None]
    mostly = len(wrong) < len(texts) / 2 and len({number for number in numbers if number is not None}) > 20
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
