"""Tasks from files: one per split, or one table that is split here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.corpus import Ragged
from data_prep.formats.fasta import read_fasta
from pretrain.data.ragged import take
from pretrain.errors import PolymeraseError, unknown_name
from pretrain.evaluation.bench.splits import draw, relatives, same
from pretrain.evaluation.bench.task import SPLITS, Part, PublishedFigure, Task, make_task
from pretrain.evaluation.probing.missing import is_missing, name_rows
from pretrain.evaluation.probing.rows import is_table, read_rows
from pretrain.evaluation.probing.table import labels_of_headers
from pretrain.evaluation.spelling import letters_of

DEV_SHARE = 0.1  # of training rows, where no dev file is given
_FEW_DEV = 4  # rows that are drawn at least, of training rows twice as many or more
TOGETHER = ("sequence", "relatives")  # besides the name of a column


@dataclass(frozen=True)
class Columns:
    """Columns of a table and how they are read.

    Attributes:
        sequence, label: their names; of a FASTA, ``label`` is the header's word (2, 3, …) or ``last``.
        keep: column -> value; other rows are left out.
        log: whether values are learned and measured as their natural logarithm.
        predictions: column with the values that others predict, or None.
        join: table that describes the records of a FASTA; its columns become theirs.
        classes: label -> name of its class; rows with other labels are left out.
        most: column -> number of rows that are kept of each of its values, the first ones.
    """

    sequence: str = "sequence"
    label: str = "label"
    keep: Mapping[str, str] = field(default_factory=dict)
    log: bool = False
    predictions: str | None = None
    join: Join | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Join:
    """A table that describes the records of a FASTA.

    Attributes:
        key: its column that holds the word of their headers.
        word: which one: 2, 3, … or ``last``.
    """

    file: Path
    key: str
    word: str = "last"


@dataclass(frozen=True)
class Split:
    """How rows are divided into splits.

    Attributes:
        together: rows that stay in one split: those with equal ``sequence``, ``relatives`` (they share 25 letters,
            directly or through others), or equal values of a column; ``clan or family``: of the first that is filled.
    """

    dev: float = DEV_SHARE
    test: float = 0.1
    seed: int = 0
    together: str = "sequence"


@dataclass(frozen=True)
class _Rows:
    part: Part
    columns: list[dict[str, str]]  # empty for a FASTA
    without_label: Mapping[str, str] = field(default_factory=dict)  # rows that were left out -> what stands there


@dataclass(frozen=True)
class Read:
    """What was read of a task.

    Attributes:
        parts: split -> rows.
        test_columns: all columns of the test rows; empty for a FASTA.
        facts: how rows were drawn, and how many have no label.
    """

    parts: dict[str, Part]
    test_columns: list[dict[str, str]]
    facts: dict[str, Any]


def read_parts(files: Mapping[str, Path], columns: Columns, split: Split, kind: str = "auto") -> Read:
    """Read the rows of ``train``, ``test`` and perhaps ``dev`` files, or of one ``table`` that is split here.

    Raises:
        PolymeraseError: files that cannot be read.
    """
    if "table" in files:
        rows = _read(files["table"], columns)
        shares = {"dev": split.dev, "test": split.test}
        drawn = draw(_groups(files["table"], rows, split.together), shares, split.seed)
        parts = {one: _part(rows.part, drawn[one]) for one in SPLITS}
        test_columns = [rows.columns[row] for row in drawn["test"].tolist()] if rows.columns else []
        facts: dict[str, Any] = {"drawn": f"dev and test rows, seed {split.seed}, by {split.together}"}
        unlabeled = rows.without_label
    else:
        read = {one: _read(files[one], columns) for one in SPLITS if one in files}
        parts, test_columns, facts = {one: rows.part for one, rows in read.items()}, read["test"].columns, {}
        unlabeled = {row: text for rows in read.values() for row, text in rows.without_label.items()}
        if "dev" not in files:
            groups = _groups(files["train"], read["train"], split.together)
            share = min(max(split.dev, _FEW_DEV / len(groups)), 0.5)
            drawn = _with_every_class(parts["train"].texts, draw(groups, {"dev": share}, split.seed), kind)
            parts |= {one: _part(parts["train"], drawn[one]) for one in ("dev", "train")}
            facts = {"drawn": f"dev rows from the training rows, seed {split.seed}, by {split.together}"}
    if unlabeled:
        facts |= {"left_out_without_label": len(unlabeled), "without_label": name_rows(unlabeled)}
    return Read(parts, test_columns, facts)


def read_task(
    name: str,
    files: Mapping[str, Path],
    columns: Columns,
    split: Split,
    kind: str = "auto",
    metric: str | None = None,
    predictions_of: tuple[str, str] = ("", ""),
) -> Task:
    """Read a task with one label per sequence.

    Args:
        name: of the task, for messages and tables.
        files: role -> file, see :func:`read_parts`.
        columns: what to read.
        split: how a table is split.
        kind: ``classification``, ``regression`` or ``auto``, see :func:`make_task`.
        metric: models are compared by it; None for the default of the kind.
        predictions_of: name and source of the values in column ``columns.predictions``.

    Raises:
        PolymeraseError: what :func:`make_task` refuses, and files that cannot be read.
    """
    read = read_parts(files, columns, split, kind)
    task, facts = make_task(name, read.parts, kind, metric), read.facts
    if columns.log:
        task, facts = _logarithms(task), facts | {"values": "natural logarithms"}
    published: tuple[PublishedFigure, ...] = ()
    if columns.predictions:
        values = _numbers(name, read.parts["test"].ids, read.test_columns, columns.predictions)
        published = (PublishedFigure(*predictions_of, scores=values),)
    return replace(task, facts={**task.facts, **facts}, published=published)


def _read(path: Path, columns: Columns) -> _Rows:
    """Rows of a table or records of a FASTA that are kept."""
    if not is_table(path):
        if columns.join:
            return _chosen(path, _joined(path, columns), columns)
        if columns.keep or columns.most:
            raise PolymeraseError(f"{path}: keep and most need columns, which a FASTA has only through join")
        return _chosen(path, _labeled(_records(path, columns.label), []), columns)
    predictions = (columns.predictions,) if columns.predictions else ()
    found = read_rows(path, (columns.sequence, *columns.keep, *predictions), columns.label)
    numbered = [
        (f"{path.name}: line {number}", row)
        for number, row in found.rows.items()
        if all(row[column] == value for column, value in columns.keep.items())
    ]
    if not numbered:
        wanted = ", ".join(f"{column}={value}" for column, value in columns.keep.items())
        raise PolymeraseError(f"{path}: no row has {wanted}; check the values of that column")
    letters = letters_of([one for one, _ in numbered], [row[columns.sequence] for _, row in numbered])
    texts = [row[columns.label] for _, row in numbered]
    part = Part([one for one, _ in numbered], Ragged.from_rows(letters), texts)
    missing = {f"{path.name}: line {line}": row[columns.label] for line, row in found.without_label.items()}
    return _chosen(path, _Rows(part, [row for _, row in numbered], missing), columns)


def _joined(path: Path, columns: Columns) -> _Rows:
    """Records of a FASTA with the columns of the table that describes them, and the label among these."""
    join = columns.join
    assert join is not None
    part = _records(path, join.word)
    described = read_rows(join.file, (join.key,), columns.label)
    table = {row[join.key]: row for row in (*described.without_label.values(), *described.rows.values())}
    unknown = next((row for row, key in enumerate(part.texts) if key not in table), None)
    if unknown is not None:
        raise PolymeraseError(
            f"{path}: {part.ids[unknown]}: {part.texts[unknown]!r} is not in column {join.key} of {join.file}"
        )
    rows = [table[key] for key in part.texts]
    return _labeled(Part(part.ids, part.sequences, [row[columns.label] for row in rows]), rows)


def _labeled(part: Part, columns: list[dict[str, str]]) -> _Rows:
    """The records that have a label."""
    kept = np.array([row for row, text in enumerate(part.texts) if not is_missing(text)], np.int64)
    missing = {one: text for one, text in zip(part.ids, part.texts, strict=True) if is_missing(text)}
    return _Rows(_part(part, kept), [columns[row] for row in kept.tolist()] if columns else [], missing)


def _chosen(path: Path, rows: _Rows, columns: Columns) -> _Rows:
    """The rows of the named classes, and no more than wanted of each value of a column."""
    part, kept = rows.part, np.arange(len(rows.part.ids))
    if columns.classes:
        kept = np.array([row for row in kept.tolist() if part.texts[row] in columns.classes], np.int64)
    for column, most in columns.most.items():
        counts: Counter[str] = Counter()
        some = []
        for row in kept.tolist():
            counts[rows.columns[row][column]] += 1
            if counts[rows.columns[row][column]] <= most:
                some.append(row)
        kept = np.array(some, np.int64)
    if not len(kept):
        raise PolymeraseError(f"{path}: no row has a label among {', '.join(columns.classes)}; check classes")
    if len(kept) == len(part.ids) and not columns.classes:
        return rows
    taken = _part(part, kept)
    texts = [columns.classes.get(text, text) for text in taken.texts]
    described = [rows.columns[row] for row in kept.tolist()] if rows.columns else []
    return _Rows(replace(taken, texts=texts), described, rows.without_label)


def _records(path: Path, label: str) -> Part:
    ids: list[str] = []
    headers: list[str] = []
    sequences: list[bytes] = []
    for block in read_fasta(path):
        ids += [block.name(row) for row in range(len(block.ids))]
        headers += [header.decode("utf-8", "backslashreplace") for header in block.headers.rows()]
        sequences += block.sequences.rows()
    if not all(sequences):
        raise PolymeraseError(f"{ids[sequences.index(b'')]}: has no sequence; remove the record")
    return Part(ids, Ragged.from_rows(sequences), labels_of_headers(str(path), headers, label))


def _part(part: Part, rows: np.ndarray) -> Part:
    return Part([part.ids[row] for row in rows], take(part.sequences, rows), [part.texts[row] for row in rows])


def _groups(path: Path, rows: _Rows, together: str) -> np.ndarray:
    """What stays together, as group numbers."""
    sequences = rows.part.sequences
    if together == "relatives":
        return relatives(sequences)
    if together == "sequence":
        return same(list(sequences.rows()))
    names = together.split(" or ")
    for name in names:
        if not rows.columns or name not in rows.columns[0]:
            raise unknown_name(f"column of {path} (or kind of group)", name, [*TOGETHER, *(rows.columns or [{}])[0]])
    keys = [next(((name, row[name]) for name in names if row[name]), ("", "")) for row in rows.columns]
    return same([f"{name}={value}" for name, value in keys])


def _with_every_class(texts: list[str], drawn: dict[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    """The draw, with dev rows of classes that training rows would lack put back; values are left as they are."""
    if kind == "regression" or len(set(texts)) * 2 > len(texts):
        return drawn
    seen = {texts[row] for row in drawn["train"].tolist()}
    known = np.array([texts[row] in seen for row in drawn["dev"].tolist()], bool)
    return {"dev": drawn["dev"][known], "train": np.sort(np.concatenate([drawn["train"], drawn["dev"][~known]]))}


def _logarithms(task: Task) -> Task:
    labels = task.table.labels
    if task.table.is_classification or labels.min() <= 0:
        raise PolymeraseError(f"{task.name}: log: expected values above 0, got {labels.min():g}; leave log out")
    return replace(task, table=replace(task.table, labels=np.log(labels)))


def _numbers(name: str, ids: list[str], rows: list[dict[str, str]], column: str) -> np.ndarray:
    values = []
    for one, row in zip(ids, rows, strict=True):
        try:
            values.append(float(row[column]))
        except ValueError:
            raise PolymeraseError(f"{name}: {one}: expected a number in column {column}, got {row[column]!r}") from None
    return np.array(values)
