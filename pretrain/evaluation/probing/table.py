"""Tables with a sequence and a label per row."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.corpus import Ragged
from data_prep.errors import shown
from pretrain.errors import PolymeraseError
from pretrain.evaluation.probing.missing import is_missing
from pretrain.evaluation.probing.rows import read_rows
from pretrain.evaluation.spelling import letters_of

_LARGEST = 1e30  # of values: their squares, and sums of these, are finite in double precision
_NUCLEOTIDES = np.zeros(256, bool)
_NUCLEOTIDES[list(b"ACGUTacgut")] = True
# Numbers with groups of thousands, a decimal comma, a percent sign, or a bound: 1,004 0,5 4% <10
_SPELLED = re.compile(
    r"(?=.*\d)(?:[<>~≤≥]=?\s*)?[+-]?(?:\d{1,3}(?:[,' ]\d{3})+|\d+(?:_\d+)*)?(?:[.,]\d+)?(?:[eE][+-]?\d+)?\s*%?"
)
_FEW = 20  # different whole numbers that may still be classes


@dataclass(frozen=True)
class LabeledSequences:
    """Sequences with labels.

    Labels are int64 (S,) classes in the order of ``classes``, or float64 (S,) values if that is empty.
    """

    ids: list[str]
    sequences: Ragged
    labels: np.ndarray
    classes: tuple[str, ...]

    @property
    def is_classification(self) -> bool:
        """Whether labels are classes."""
        return bool(self.classes)


def read_columns(path: Path, sequence: str, label: str) -> tuple[list[str], list[bytes], list[str], dict[str, str]]:
    """Read ids (line numbers), sequences and label texts of a table, and the rows without a label.

    Raises:
        PolymeraseError: what :func:`probing.rows.read_rows` refuses.
    """
    found = read_rows(path, (sequence,), label)
    rows = list(found.rows.values())
    letters = letters_of([f"{path}: line {line}" for line in found.rows], [row[sequence] for row in rows])
    missing = {f"line {line}": row[label] for line, row in found.without_label.items()}
    return [f"line {line}" for line in found.rows], letters, [row[label] for row in rows], missing


def labels_of_headers(source: str, headers: list[str], field: str) -> list[str]:
    """Return word number ``field`` (1 is the id) of each FASTA header, or its ``last`` one."""
    if field == "last":
        field_of_header = -1
    elif field.isdigit() and int(field) >= 2:
        field_of_header = int(field) - 1
    else:
        raise PolymeraseError(
            f"--label {field}: for a FASTA, give the number of a word of the header, 2 or more, or last"
        )
    labels = []
    for header in headers:
        words = header.split()
        if len(words) <= max(field_of_header, 0):
            raise PolymeraseError(f"{source}: header {header[:60]!r} has no word number {field}")
        labels.append(words[field_of_header])
    if labels and all(map(is_missing, labels)):
        raise PolymeraseError(
            f"{source}: {len(labels):,} headers without a label (word {field}: {shown(labels[0])}); take another word"
        )
    return labels


def as_task(
    source: str, ids: list[str], sequences: Ragged, texts: list[str], task: str, folds: int
) -> LabeledSequences:
    """Turn labels into numbers, and check that there are enough of each for cross-validation.

    Args:
        source: file name for messages.
        ids: names (S,).
        sequences: S rows.
        texts: label of each.
        task: ``classification``, ``regression``, or ``auto``, see :func:`with_labels`.
        folds: number of folds.

    Raises:
        PolymeraseError: a label that is not a number, a class with fewer rows than folds, or one class only.
    """
    if len(texts) < folds:
        raise PolymeraseError(f"{source}: {len(texts)} rows, fewer than {folds} folds; lower --folds")
    table = with_labels(source, ids, sequences, texts, task)
    if not table.is_classification:
        if len(texts) < 2 * folds:
            raise PolymeraseError(
                f"{source}: {len(texts)} rows, fewer than two in each of {folds} folds; lower --folds"
            )
        if not np.ptp(table.labels):
            raise PolymeraseError(f"{source}: all values are {table.labels[0]:g}; there is nothing to learn")
    if table.is_classification:
        counts = np.bincount(table.labels)
        if counts.min() < folds:
            rarest = counts.argmin()
            rows = ", ".join(ids[row] for row in np.flatnonzero(table.labels == rarest)[:5])
            raise PolymeraseError(
                f"{source}: class {table.classes[rarest]!r} has {counts[rarest]} rows ({rows}), fewer than {folds} "
                "folds; fix or leave out the rows, or lower --folds"
            )
    return table


def with_labels(source: str, ids: list[str], sequences: Ragged, texts: list[str], task: str) -> LabeledSequences:
    """Turn labels into numbers: classes, or values.

    Args:
        source: file name for messages.
        ids: names (S,).
        sequences: S rows.
        texts: label of each.
        task: ``classification``, ``regression``, or ``auto``: values if every label is a finite number and either
            one has a fraction or there are more than 20 different ones.

    Raises:
        PolymeraseError: a label that is no number among numbers, one class only, or nearly as many classes as rows.
    """
    numbers = [_number(text) for text in texts]
    _check_mixed(source, ids, texts, numbers, task)
    if task == "auto":
        task = "regression" if None not in numbers and _look_like_values(numbers) else "classification"
    if task == "regression":
        return LabeledSequences(ids, sequences, np.array(numbers, np.float64), ())
    names = _class_names(texts, numbers)
    _check_spelling(source, ids, names)
    classes = tuple(dict.fromkeys(sorted(names, key=_class_order)))
    if len(classes) < 2:
        raise PolymeraseError(f"{source}: all labels are {texts[0]!r}; classification needs two classes")
    if len(classes) > max(_FEW, len(texts) / 2):
        raise PolymeraseError(
            f"{source}: {len(classes):,} different labels in {len(texts):,} rows ({shown(texts[0])} …); expected "
            "classes, or values as finite numbers with a decimal point"
        )
    place = {name: number for number, name in enumerate(classes)}
    return LabeledSequences(ids, sequences, np.array([place[name] for name in names], np.int64), classes)


def odd_letters(source: str, sequences: Ragged) -> dict[str, int]:
    """Count letters other than A, C, G, U and T, which models read as unknown.

    Raises:
        PolymeraseError: most letters are not nucleotides (N may be one).
    """
    strange = ~_NUCLEOTIDES[sequences.values]
    foreign = int(strange.sum() - np.isin(sequences.values, np.frombuffer(b"Nn", np.uint8)).sum())
    if foreign * 2 > len(strange):
        raise PolymeraseError(
            f"{source}: {foreign:,} of {len(strange):,} letters are not nucleotides; check the file and the column"
        )
    before = np.concatenate(([0], np.cumsum(strange)))
    held = before[sequences.offsets[1:]] > before[sequences.offsets[:-1]]
    return {"other_letters": int(strange.sum()), "sequences_with_other_letters": int(held.sum())}


def contradictions(table: LabeledSequences) -> dict[str, Any]:
    """Count rows whose sequence stands in other rows with another label, which no model can get right."""
    labels: dict[bytes, set[Any]] = {}
    sequences = [row.upper().replace(b"T", b"U") for row in table.sequences.rows()]
    for sequence, label in zip(sequences, table.labels.tolist(), strict=True):
        labels.setdefault(sequence, set()).add(label)
    torn = [name for name, sequence in zip(table.ids, sequences, strict=True) if len(labels[sequence]) > 1]
    return {"equal_sequences_with_other_labels": len(torn), "such_rows": torn[:5]} if torn else {}


def _check_spelling(source: str, ids: list[str], names: list[str]) -> None:
    """``True`` and ``true`` are one class to whoever wrote them."""
    first: dict[str, int] = {}
    for row, name in enumerate(names):
        before = first.setdefault(name.casefold(), row)
        if names[before] != name:
            raise PolymeraseError(
                f"{source}: {ids[row]}: label {shown(name)}, but {ids[before]} has {shown(names[before])}; spell a "
                "class the same in all rows"
            )


def _class_names(texts: list[str], numbers: list[float | None]) -> list[str]:
    """The labels; where all are whole numbers in the same spelling, so that ``1`` and ``1.0`` are one class."""
    if any(number is None or number != int(number) for number in numbers):
        return texts
    return [str(int(number)) for number in numbers if number is not None]


def _class_order(name: str) -> tuple[float, str]:
    """Whole numbers by size, before all else by its letters."""
    number = _number(name)
    return (np.inf, name) if number is None else (number, name)


def _look_like_values(numbers: list[float | None]) -> bool:
    real = {number for number in numbers if number is not None}
    return len(real) > _FEW or any(number != int(number) for number in real)


def _check_mixed(source: str, ids: list[str], texts: list[str], numbers: list[float | None], task: str) -> None:
    """Among numbers, a label that is none (nan, inf, text) is a mistake of its row, not a class; nor is ``4%``."""
    wrong = [row for row, number in enumerate(numbers) if number is None]
    mostly = len(wrong) < len(texts) / 2 and _look_like_values(numbers)
    if wrong and (task == "regression" or (task == "auto" and mostly)):
        raise PolymeraseError(
            f"{source}: {ids[wrong[0]]}: label {texts[wrong[0]]!r} is not a finite number ({len(wrong)} of "
            f"{len(texts)} are none); drop these rows, or declare them as classes (bench: --kind, probe: --task "
            "classification)"
        )
    if wrong and task == "auto" and all(_SPELLED.fullmatch(texts[row].strip()) for row in wrong):
        raise PolymeraseError(
            f"{source}: {ids[wrong[0]]}: label {texts[wrong[0]]!r} is a number that cannot be read ({len(wrong)} of "
            f"{len(texts)} are like it); write plain numbers such as 1004 or 0.04, or declare the labels as classes "
            "(bench: --kind, probe: --task classification)"
        )


def _number(text: str) -> float | None:
    try:
        value = math.nan if "_" in text else float(text)  # Python reads 1_004
    except ValueError:
        return None
    return value if abs(value) <= _LARGEST else None
