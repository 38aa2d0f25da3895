"""Models and bars on one task: who is better, and by how much."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pretrain.errors import PolymeraseError
from pretrain.evaluation.bench.bars import bar_answers, linear_answers
from pretrain.evaluation.bench.figures import Answers, Figures, figures_of, versus, weights_of
from pretrain.evaluation.bench.leak import Leak, Nearest, Pretrained, leak_of
from pretrain.evaluation.bench.task import Task
from pretrain.evaluation.embeddings import Pool, embed
from pretrain.evaluation.model import TrainedModel, random_twin
from pretrain.evaluation.probing.tuning import Dev, Tuned, Tuning, tuned_on
from pretrain.evaluation.probing.windows import mean_of_windows, windows_of


@dataclass(frozen=True)
class Options:
    """Choices of a bench.

    Attributes:
        pool, layer: of frozen features.
        seeds: number of random encoders and fine-tunings.
        tuning: None for frozen features only; an empty head stands for that of the model's family.
        nearest: finds relatives of test sequences.
        pretrained: counts those that a model saw in pretraining.
    """

    pool: Pool = "mean"
    layer: int = -1
    seeds: int = 3
    tuning: Tuning | None = None
    nearest: Nearest | None = None
    pretrained: Pretrained | None = None


@dataclass(frozen=True)
class TaskResult:
    """json: what ``--json`` prints for the task. tuned: model source -> its first fine-tuning, to be kept."""

    json: dict[str, Any]
    tuned: dict[str, Tuned]


def run_task(models: list[TrainedModel], task: Task, options: Options) -> TaskResult:
    """Frozen features, and fine-tuning where asked for, of every model, beside the bars of the task."""
    task = task.without_shorter(max(model.tokenizer.min_nucleotides for model in models))
    task = task.with_rests_of([model.tokenizer.lengths for model in models])
    weights = weights_of(len(task.true))
    leak = leak_of(task, options.nearest)
    shared = {name: Row(task, answers, weights) for name, answers in bar_answers(task).items()}
    shared |= _published_rows(task, weights)
    found: dict[str, Any] = {}
    kept: dict[str, Tuned] = {}
    for model in models:
        own, rows, tuned = _rows_of(model, task, options, weights)
        bars = shared | rows
        found[model.source] = compared(task, own, bars, leak) | {"windows": cut_of(model, task)}
        if options.pretrained:
            found[model.source]["leak"]["pretraining"] = options.pretrained(model.source, task.sequences("test"))
        kept |= tuned
    first = found[models[0].source]
    result = first | {"leak": leak.counts | first["leak"], **facts_of(task)}
    if len(models) > 1:
        result["models"] = found
    return TaskResult(result, kept)


class Row:
    """Answers of one row of the table with their figures."""

    def __init__(self, task: Task, answers: Answers, weights: np.ndarray):
        self.answers, self.figures = answers, figures_of(task, answers, weights)

    def json(self) -> dict[str, Any]:
        """Metrics, intervals, and how they came about."""
        return self.figures.metrics() | {"intervals": self.figures.intervals()} | self.answers.about


def _published_rows(task: Task, weights: np.ndarray) -> dict[str, Row]:
    """Predictions of others, measured on these rows."""
    return {
        f"published: {one.name}": Row(task, Answers([one.scores], {"source": one.source}), weights)
        for one in task.published
        if one.scores is not None
    }


def _rows_of(
    model: TrainedModel, task: Task, options: Options, weights: np.ndarray
) -> tuple[dict[str, Row], dict[str, Row], dict[str, Tuned]]:
    """Rows of the model, rows of the same encoder with random weights, fine-tunings to keep."""
    twins = [random_twin(model, seed) for seed in range(options.seeds)]
    own = {"frozen": Row(task, frozen([model], task, options), weights)}
    bars = {"random_weights": Row(task, frozen(twins, task, options), weights)}
    if options.tuning is None:
        return own, bars, {}
    tuning = replace(options.tuning, head=options.tuning.head or model.family.fine_tuning_head)
    answers, kept = _tuned([model] * options.seeds, task, tuning)
    own["tuned"] = Row(task, answers, weights)
    bars["random_weights_tuned"] = Row(task, _tuned(twins, task, tuning)[0], weights)
    return own, bars, {model.source: kept}


def frozen(models: list[TrainedModel], task: Task, options: Options) -> Answers:
    """Linear models on pooled states; one answer for each of the models."""
    answers = [linear_answers(task, _features(model, task, options)) for model in models]
    about = {"features": answers[0].about["features"], "seeds": len(models)}
    return Answers([one.scores[0] for one in answers], about | {"strength": answers[0].about["strength"]})


def _features(model: TrainedModel, task: Task, options: Options) -> np.ndarray:
    """float32 (S, D), of long sequences the mean over windows."""
    windows, row = windows_of(task.table.sequences, model.tokenizer.max_nucleotides(model.max_tokens))
    states = embed(model, [task.table.ids[one] for one in row.tolist()], windows, options.pool, options.layer).values
    if not np.isfinite(states).all():
        raise PolymeraseError(
            f"{model.source}: its hidden states have NaN or infinite values on {task.name}; use another checkpoint"
        )
    return mean_of_windows(states, windows, row)


def _tuned(models: list[TrainedModel], task: Task, tuning: Tuning) -> tuple[Answers, Tuned]:
    """One fine-tuning per model, seeds 0, 1, …; the first one is kept."""
    dev = Dev(task.rows["dev"], task.metric)
    scores, epochs, first = [], [], None
    for seed, model in enumerate(models):
        tuned = tuned_on(model, task.table, tuning, task.rows["train"], seed, dev)
        scores.append(tuned.scores(task.rows["test"]))
        epochs.append(tuned.best_epoch)
        first = first or tuned
    assert first is not None
    return Answers(scores, {"seeds": len(models), "head": tuning.head, "best_epochs": epochs}), first


def compared(task: Task, own: dict[str, Row], bars: dict[str, Row], leak: Leak | None) -> dict[str, Any]:
    """Metrics and intervals of the model, every bar, and the difference to each."""
    frozen = own["frozen"].figures
    reported = {
        f"published: {one.name}": dict(one.metrics) | {"source": one.source} for one in task.published if one.metrics
    }
    result = {
        "metric": task.metric,
        "metrics": frozen.metrics(),
        "intervals": frozen.intervals(),
        "bars": {name: row.json() for name, row in bars.items()} | reported,
        "versus": _versus(task, frozen, bars),
        "leak": {} if leak is None else _leak(task, own | bars, leak),
    }
    if "tuned" in own:
        result["tuned"] = own["tuned"].json() | {"versus": _versus(task, own["tuned"].figures, bars)}
    return result


def _versus(task: Task, figures: Figures, bars: dict[str, Row]) -> dict[str, Any]:
    return {name: versus(task, figures, row.figures) for name, row in bars.items()}


def _leak(task: Task, rows: dict[str, Row], leak: Leak) -> dict[str, Any]:
    return {
        f"{task.metric}_without_{what}": _without(task, rows, leaked)
        for what, leaked in (("leaked", leak.leaked), ("relatives", leak.related))
        if leaked is not None and leaked.any()
    }


def _without(task: Task, rows: dict[str, Row], leaked: np.ndarray) -> dict[str, float | None]:
    """The task's metric on the test rows that are left when leaked ones are taken out."""
    clean = ~leaked
    if clean.sum() < 2:
        return dict.fromkeys(rows)
    return {
        name: float(
            np.mean([task.measured(task.true[clean], one[clean])[task.metric][0] for one in row.answers.scores])
        )
        for name, row in rows.items()
    }


def cut_of(model: TrainedModel, task: Task) -> dict[str, int]:
    """How many sequences are longer than the model reads."""
    longest = model.tokenizer.max_nucleotides(model.max_tokens)
    return {"longest_nt": longest, "longer_sequences": int((task.table.sequences.lengths > longest).sum())}


def facts_of(task: Task) -> dict[str, Any]:
    """What is printed of a task beside its figures."""
    sizes = {split: len(rows) for split, rows in task.rows.items()}
    return {
        "kind": task.kind,
        "classes": list(task.table.classes),
        "rows": sizes,
        "facts": dict(task.facts),
        "about": dict(task.about),
    }
