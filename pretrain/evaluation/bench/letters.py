"""Tasks with a class for every letter (splice sites, structure, binding sites): label columns as long as the sequence.

A logistic regression reads the frozen state of a letter; bars read the letter itself, and its neighbors. Metrics count
letters; errors are of a bootstrap over test sequences, since letters of one sequence are no independent answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.corpus import Ragged
from data_prep.errors import shown
from pretrain.data.ragged import concatenate, row_of_value, take
from pretrain.errors import PolymeraseError
from pretrain.evaluation.bench.figures import Answers, weights_of
from pretrain.evaluation.bench.files import Columns, Split, read_parts
from pretrain.evaluation.bench.leak import leak_of
from pretrain.evaluation.bench.run import Options, Row, TaskResult, compared, cut_of, facts_of
from pretrain.evaluation.bench.splits import same
from pretrain.evaluation.bench.task import FEWEST, SPLITS, Measure, Part, Task
from pretrain.evaluation.embeddings import embed
from pretrain.evaluation.model import TrainedModel, random_twin
from pretrain.evaluation.probing.letter_tuning import LETTERS_HEAD, LetterLabels, TunedLetters
from pretrain.evaluation.probing.linear import fit_by_dev
from pretrain.evaluation.probing.metrics import CLASSIFICATION, measure
from pretrain.evaluation.probing.table import LabeledSequences, odd_letters
from pretrain.evaluation.probing.tuning import Dev, Tuned, fitted
from pretrain.evaluation.probing.windows import windows_of

KIND, METRIC = "tokens", "macro_f1"
UNLABELED = "?"  # a letter that is neither learned nor asked
_MOST = 20_000  # letters that a regression is fitted on, and as many that choose its strength
_REACH = 5  # letters on either side that a bar sees
_MOST_CLASSES = 40
_CELLS = 1 << 23  # weights of letters that are measured at once

Features = Callable[[np.ndarray], np.ndarray]  # rows of the table, int64 (R,) -> float (their letters, F)


@dataclass(frozen=True)
class LetterTask:
    """Sequences with a class for every letter.

    Attributes:
        task: one row per sequence; its labels number equal label texts.
        labels: classes of the letters, -1 where there is none.
    """

    task: Task
    labels: LetterLabels

    def bars(self) -> dict[str, np.ndarray]:
        """Answers without a model: what stands there, and what stands around it."""
        return {
            "letter": self.answer(lambda rows: self._around(rows, 0)),
            "neighbors": self.answer(lambda rows: self._around(rows, _REACH)),
        }

    def answer(self, features: Features) -> np.ndarray:
        """Fit a regression on features of letters: probabilities float64 (M, C) of the M labeled test letters."""
        rows = {name: self._some(name) for name in ("train", "dev")} | {"test": self.task.rows["test"]}
        values, labels, bounds = [], [], [0]
        for name, chosen in rows.items():
            asked = self.labels.of(chosen)
            stays = np.flatnonzero(asked >= 0)
            if name != "test" and len(stays) > _MOST:
                stays = stays[np.random.default_rng(0).permutation(len(stays))[:_MOST]]
            values.append(features(chosen)[stays])
            labels.append(asked[stays])
            bounds.append(bounds[-1] + len(stays))
        parts = [np.arange(*bounds[at : at + 2]) for at in range(3)]
        found = fit_by_dev(
            np.concatenate(values), np.concatenate(labels), len(self.task.table.classes),
            (parts[0], parts[1], parts[2]), self.task.metric,
        )  # fmt: skip
        return found.scores

    def _some(self, split: str) -> np.ndarray:
        """Rows of a split that together hold about so many letters as are used, drawn."""
        rows = np.random.default_rng(0).permutation(self.task.rows[split])
        letters = np.cumsum(self.task.table.sequences.lengths[rows])
        return rows[: int(np.searchsorted(letters, 2 * _MOST)) + 1]

    def _around(self, rows: np.ndarray, reach: int) -> np.ndarray:
        """float32 (N, (2 reach + 1) 5): which letter stands at each place, or none."""
        sequences = take(self.task.table.sequences, rows)
        kind = np.full(256, 4, np.int64)
        for number, letters in enumerate(("Aa", "Cc", "Gg", "TtUu")):
            kind[[ord(letter) for letter in letters]] = number
        codes, row, at = kind[sequences.values], row_of_value(sequences.offsets), np.arange(len(sequences.values))
        columns = []
        for step in range(-reach, reach + 1):
            other = (at + step).clip(0, len(at) - 1)
            inside = (row[other] == row) & (other == at + step)
            columns.append(np.where(inside, codes[other], 4)[:, None] == np.arange(5))
        return np.concatenate(columns, axis=1).astype(np.float32)


def make_letter_task(name: str, parts: Mapping[str, Part], metric: str | None = None) -> LetterTask:
    """Build a task from splits whose labels have one character for every letter of their sequence.

    Raises:
        PolymeraseError: a label of another length, more than 40 different characters, one class only, a class that
            training rows lack, a split with hardly a row, or a metric of another kind.
    """
    if metric is not None and metric not in CLASSIFICATION:
        raise PolymeraseError(f"{name}: expected a metric of classes ({', '.join(CLASSIFICATION)}), got {metric!r}")
    for split in SPLITS:
        if len(parts[split].texts) < FEWEST[split]:
            raise PolymeraseError(
                f"{name}: expected {FEWEST[split]} {split} rows or more, got {len(parts[split].texts)}; add rows"
            )
    sequences = concatenate([parts[split].sequences for split in SPLITS])
    ids = [one for split in SPLITS for one in parts[split].ids]
    texts = [text for split in SPLITS for text in parts[split].texts]
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    if (wrong := np.flatnonzero(lengths != sequences.lengths)).size:
        row = int(wrong[0])
        raise PolymeraseError(
            f"{name}: {ids[row]}: expected a label of {sequences.lengths[row]:,} characters, one for each letter, got "
            f"{lengths[row]:,} ({shown(texts[row])}; {len(wrong):,} of {len(texts):,} rows differ so)"
        )
    characters = sorted(set("".join(texts)) - {UNLABELED})
    if len(characters) > _MOST_CLASSES:
        raise PolymeraseError(
            f"{name}: expected at most {_MOST_CLASSES} different characters in labels, got {len(characters)}"
        )
    place = {character: number for number, character in enumerate(characters)} | {UNLABELED: -1}
    codes = np.array([place[character] for text in texts for character in text], np.int64)
    labels = LetterLabels(codes, sequences.offsets)
    bounds = np.cumsum([0, *(len(parts[split].texts) for split in SPLITS)])
    rows = {split: np.arange(*bounds[number : number + 2]) for number, split in enumerate(SPLITS)}
    _check_classes(name, labels, rows, characters)
    table = LabeledSequences(ids, sequences, same(texts), tuple(characters))
    counts = {split: int((labels.of(rows[split]) >= 0).sum()) for split in SPLITS}
    facts = odd_letters(name, sequences) | {"letters": counts}
    task = Task(name, table, rows, metric or METRIC, facts, kind=KIND, measured=_measured(labels, rows["test"]))
    return LetterTask(task, labels)


def read_letter_task(
    name: str, files: Mapping[str, Path], columns: Columns, split: Split, metric: str | None
) -> LetterTask:
    """Read a task from its files, see :func:`make_letter_task`."""
    if columns.log or columns.predictions or columns.classes:
        raise PolymeraseError(f"{name}: kind {KIND}: log, predictions and classes are of one label per sequence")
    read = read_parts(files, columns, split, "regression")
    found = make_letter_task(name, read.parts, metric)
    return replace(found, task=replace(found.task, facts={**found.task.facts, **read.facts}))


def run_letters(models: list[TrainedModel], asked: LetterTask, options: Options) -> TaskResult:
    """Compare every model with the bars; fine-tuned too where asked for."""
    task = asked.task
    weights = weights_of(len(task.rows["test"]))
    leak = leak_of(task, options.nearest)
    shared = {name: Row(task, Answers([scores]), weights) for name, scores in asked.bars().items()}
    found: dict[str, Any] = {}
    kept: dict[str, Tuned] = {}
    for model in models:
        twins = [random_twin(model, seed) for seed in range(options.seeds)]
        twin_answers = Answers([letters_of(asked, twin, options) for twin in twins], {"seeds": len(twins)})
        bars = shared | {"random_weights": Row(task, twin_answers, weights)}
        own = {"frozen": Row(task, Answers([letters_of(asked, model, options)]), weights)}
        if options.tuning is not None:
            answers, kept[model.source] = _tuned([model] * options.seeds, asked, options)
            own["tuned"] = Row(task, answers, weights)
            bars["random_weights_tuned"] = Row(task, _tuned(twins, asked, options)[0], weights)
        found[model.source] = compared(task, own, bars, None) | {"windows": cut_of(model, task)}
        found[model.source]["leak"] = dict(leak.counts)
        if options.pretrained:
            found[model.source]["leak"]["pretraining"] = options.pretrained(model.source, task.sequences("test"))
    result = found[models[0].source] | facts_of(task)
    return TaskResult(result | ({"models": found} if len(models) > 1 else {}), kept)


def letters_of(asked: LetterTask, model: TrainedModel, options: Options) -> np.ndarray:
    """Ask the frozen states of a model: probabilities float64 (M, C) of the labeled test letters."""

    def states(rows: np.ndarray) -> np.ndarray:
        sequences = take(asked.task.table.sequences, rows)
        windows, row = windows_of(sequences, model.tokenizer.max_nucleotides(model.max_tokens))
        found = embed(model, [str(one) for one in row.tolist()], windows, "token", options.layer)
        check_one_token_per_letter(asked.task.name, model, len(found.values), sequences)
        return found.values

    return asked.answer(states)


def check_one_token_per_letter(name: str, model: TrainedModel, tokens: int, sequences: Ragged) -> None:
    """PolymeraseError where tokens are k-mers: a class for every letter needs a state for every letter."""
    if tokens != len(sequences.values):
        raise PolymeraseError(
            f"{name}: {model.source} has {tokens:,} tokens for {len(sequences.values):,} letters; classes of letters "
            "need a model with one token for each"
        )


def _tuned(models: list[TrainedModel], asked: LetterTask, options: Options) -> tuple[Answers, Tuned]:
    """One fine-tuning per model, seeds 0, 1, …; the first one is kept."""
    assert options.tuning is not None
    task, tuning = asked.task, replace(options.tuning, head=LETTERS_HEAD)
    train = task.rows["train"]
    one = take(task.table.sequences, train[:1])
    scores, epochs, first = [], [], None
    for seed, model in enumerate(models):
        check_one_token_per_letter(task.name, model, int(model.tokenizer.encode(one).maskable.sum()), one)
        build = partial(TunedLetters, model, task.table, tuning, asked.labels)
        tuned = fitted(build, train, seed, Dev(task.rows["dev"], task.metric))
        scores.append(tuned.scores(task.rows["test"]))
        epochs.append(tuned.best_epoch)
        first = first or tuned
    assert first is not None
    return Answers(scores, {"seeds": len(models), "head": tuning.head, "best_epochs": epochs}), first


def _check_classes(name: str, labels: LetterLabels, rows: Mapping[str, np.ndarray], characters: list[str]) -> None:
    seen = np.unique(labels.of(rows["train"]))
    seen = seen[seen >= 0]
    if len(seen) < 2:
        got = repr(characters[seen[0]]) if len(seen) else "none"
        raise PolymeraseError(f"{name}: expected two classes of letters or more in training rows, got {got}")
    for split in ("dev", "test"):
        there = np.unique(labels.of(rows[split]))
        new = there[(there >= 0) & ~np.isin(there, seen)]
        if len(new):
            raise PolymeraseError(
                f"{name}: no training row has class {characters[new[0]]!r}, {split} rows have; leave it out "
                f"({UNLABELED} is no class) or add training rows"
            )
        if not (there >= 0).any():
            raise PolymeraseError(f"{name}: no letter of the {split} rows has a class")


def _measured(labels: LetterLabels, test: np.ndarray) -> Measure:
    """Metrics of letters, under weights of sequences; (B, S) -> (B,) each."""
    asked = labels.of(test)
    stays = asked >= 0
    true, row = asked[stays], np.repeat(np.arange(len(test)), labels.lengths[test])[stays]

    def measured(_: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
        weights = np.ones((1, len(test))) if weights is None else weights
        parts = np.array_split(weights, -(-len(weights) * len(true) // _CELLS))
        found = [measure(true, scores, part[:, row]) for part in parts if len(part)]
        return {name: np.concatenate([one[name] for one in found]) for name in found[0]}

    return measured
