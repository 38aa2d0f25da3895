"""One labeled task: training, dev and test rows, the metric of its field, and what is known of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from data_prep.corpus import Ragged
from pretrain.data.ragged import concatenate, take
from pretrain.errors import PolymeraseError
from pretrain.evaluation.probing.metrics import CLASSIFICATION, REGRESSION, measure
from pretrain.evaluation.probing.table import LabeledSequences, contradictions, odd_letters, with_labels
from pretrain.tokenizers.lengths import Lengths

Measure = Callable[..., dict[str, np.ndarray]]  # labels, scores, weightings -> metrics, see `probing.metrics.measure`
SPLITS = ("train", "dev", "test")
_SEVERAL = 10  # rows that are 0 or 1 by chance hardly ever
_FRACTION = re.compile(r"[-+]?\d*\.(?=\d*[1-9])\d+")
FEWEST = {"train": 4, "dev": 2, "test": 2}  # rows; below them no figure means anything


@dataclass(frozen=True)
class Part:
    """Rows of one split as they were read: names of the rows, sequences, label texts."""

    ids: list[str]
    sequences: Ragged
    texts: list[str]


@dataclass(frozen=True)
class PublishedFigure:
    """A figure that others report on these test rows; ``scores`` where their predictions are known row by row."""

    name: str
    source: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    scores: np.ndarray | None = None  # float64 (test rows,)


@dataclass(frozen=True)
class Task:
    """One task with its rows.

    Attributes:
        rows: split -> int64 rows of ``table``.
        metric: the one that models are compared by.
        facts: counts that are shown with the result.
        about: source and license.
        kind: what it measures; by the labels unless given.
        measured: its metrics.
    """

    name: str
    table: LabeledSequences
    rows: Mapping[str, np.ndarray]
    metric: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    published: tuple[PublishedFigure, ...] = ()
    kind: str = ""
    measured: Measure = measure

    def __post_init__(self) -> None:
        kind = self.kind or ("classification" if self.table.is_classification else "regression")
        object.__setattr__(self, "kind", kind)

    @property
    def true(self) -> np.ndarray:
        """Labels of the test rows."""
        return self.table.labels[self.rows["test"]]

    def sequences(self, split: str) -> Ragged:
        """Sequences of one split."""
        return take(self.table.sequences, self.rows[split])

    def without_shorter(self, shortest: int) -> Task:
        """The task without sequences that a model has no token for; they are counted."""
        stays = self.table.sequences.lengths >= shortest
        if stays.all():
            return self
        place = np.cumsum(stays) - 1
        rows = {split: place[one[stays[one]]] for split, one in self.rows.items()}
        table = LabeledSequences(
            [one for one, kept in zip(self.table.ids, stays, strict=True) if kept],
            take(self.table.sequences, np.flatnonzero(stays)),
            self.table.labels[stays],
            self.table.classes,
        )
        kept = stays[self.rows["test"]]
        published = tuple(
            one if one.scores is None else replace(one, scores=one.scores[kept]) for one in self.published
        )
        facts = {**self.facts, f"left_out_shorter_than_{shortest}_nt": int((~stays).sum())}
        _check_sizes(self.name, table, rows)
        return replace(self, table=table, rows=rows, facts=facts, published=published)

    def with_rests_of(self, lengths: Iterable[Lengths]) -> Task:
        """The task, with a count of the sequences whose last letters are in no token of a model (partial codons)."""
        rest = np.max([rule.rest(self.table.sequences.lengths) for rule in lengths], axis=0)
        return replace(self, facts={**self.facts, "last_letters_in_no_token": int(np.count_nonzero(rest))})


def make_task(name: str, parts: Mapping[str, Part], kind: str = "auto", metric: str | None = None) -> Task:
    """Build a task from its splits.

    Args:
        name: of the task, for messages and tables.
        parts: rows by split.
        kind: ``classification``, ``regression`` or ``auto``: by the labels.
        metric: of :mod:`probing.metrics`; accuracy of classes and Spearman of values by default.

    Raises:
        PolymeraseError: labels of two kinds, one class only, a class that training rows lack, a split with hardly a
            row, test values without spread, sequences that are mostly no nucleotides, or a metric of the other kind.
    """
    sequences = concatenate([parts[split].sequences for split in SPLITS])
    ids = [one for split in SPLITS for one in parts[split].ids]
    texts = [text for split in SPLITS for text in parts[split].texts]
    if kind == "auto":
        _refuse_two_kinds(name, parts)
    table = with_labels(name, ids, sequences, texts, kind)
    bounds = np.cumsum([0, *(len(parts[split].texts) for split in SPLITS)])
    rows = {split: np.arange(*bounds[number : number + 2]) for number, split in enumerate(SPLITS)}
    _check_sizes(name, table, rows)
    known = CLASSIFICATION if table.is_classification else REGRESSION
    if metric is not None and metric not in known:
        raise PolymeraseError(f"{name}: expected a metric of its kind ({', '.join(known)}), got {metric!r}")
    odd = [odd_letters(f"{name}, {split} rows", parts[split].sequences) for split in SPLITS]
    letters = {key: sum(one[key] for one in odd) for key in odd[0]}
    facts = letters | contradictions(table) | _labels(name, table, rows)
    return Task(name, table, rows, metric or known[0], facts)


def _check_sizes(name: str, table: LabeledSequences, rows: Mapping[str, np.ndarray]) -> None:
    for split in SPLITS:
        if len(rows[split]) < FEWEST[split]:
            raise PolymeraseError(
                f"{name}: expected {FEWEST[split]} {split} rows or more, got {len(rows[split])}; add labeled rows"
            )
    labels = {split: table.labels[rows[split]] for split in SPLITS}
    if not table.is_classification:
        if not np.ptp(labels["train"]):
            raise PolymeraseError(f"{name}: all training values are {labels['train'][0]:g}; there is nothing to learn")
        return
    seen = np.unique(labels["train"])
    if len(seen) < 2:
        only = table.classes[seen[0]]
        raise PolymeraseError(f"{name}: all training labels are {only!r}; classification needs two classes")
    for split in ("dev", "test"):
        new = rows[split][~np.isin(labels[split], seen)]
        if len(new):
            raise PolymeraseError(
                f"{name}: {table.ids[new[0]]}: no training row has class {table.classes[table.labels[new[0]]]!r} "
                f"({len(new)} {split} rows have such classes); leave them out or add training rows"
            )


def _refuse_two_kinds(name: str, parts: Mapping[str, Part]) -> None:
    """Raise PolymeraseError where one split has nothing but 0 and 1, and another one fractions."""
    two = {split: {text.strip() for text in part.texts} for split, part in parts.items() if len(part.texts) >= _SEVERAL}
    classes = next((split for split, texts in two.items() if texts == {"0", "1"}), None)
    for split, part in parts.items():
        row = next((row for row, text in enumerate(part.texts) if _FRACTION.fullmatch(text.strip())), None)
        if classes and row is not None:
            raise PolymeraseError(
                f"{name}: {part.ids[row]} ({split}) has the label {part.texts[row]}, but all {classes} rows have 0 or "
                "1; give the files of one task, or --kind regression"
            )


def _labels(name: str, table: LabeledSequences, rows: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What a reader has to know of the labels: counts of odd ones, where there are any."""
    train, test = table.labels[rows["train"]], table.labels[rows["test"]]
    if not table.is_classification:
        if not np.ptp(test):
            raise PolymeraseError(f"{name}: all test values are {test[0]:g}; there is nothing to compare")
        return {}
    facts: dict[str, Any] = {}
    if not np.ptp(test):
        facts["test_rows_are_all"] = table.classes[test[0]]
    alone = np.flatnonzero(np.bincount(train, minlength=len(table.classes)) == 1)
    if len(alone):
        facts["classes_with_one_training_row"] = len(alone)
        some = rows["train"][np.isin(train, alone[:5])].tolist()
        facts["rare_classes"] = [f"{table.classes[table.labels[row]]} ({table.ids[row]})" for row in some]
    return facts
