"""The kinds of tasks a bench has, and what runs each."""

from __future__ import annotations

from pretrain.evaluation.bench.bars import bar_answers
from pretrain.evaluation.bench.figures import Answers
from pretrain.evaluation.bench.letters import LetterTask, letters_of, run_letters
from pretrain.evaluation.bench.run import Options, TaskResult, frozen, run_task
from pretrain.evaluation.bench.structures import StructureTask, pairs_of, run_structures
from pretrain.evaluation.bench.task import Task
from pretrain.evaluation.bench.variants import VariantTask, run_variants
from pretrain.evaluation.model import TrainedModel

AnyTask = Task | VariantTask | StructureTask | LetterTask


def base_of(task: AnyTask) -> Task:
    """Return what all kinds have: name, rows and facts."""
    return task if isinstance(task, Task) else task.task


def run_any(models: list[TrainedModel], task: AnyTask, options: Options) -> TaskResult:
    """Compare models with the bars of the task's kind. Fine-tuning is for labeled tasks alone."""
    if isinstance(task, LetterTask):
        return run_letters(models, task, options)
    if isinstance(task, VariantTask):
        return run_variants(models, task, options)
    if isinstance(task, StructureTask):
        return run_structures(models, task, options)
    return run_task(models, task, options)


def frozen_answers(model: TrainedModel, task: AnyTask, options: Options) -> Answers:
    """Ask the weights of one model without changing them."""
    if isinstance(task, VariantTask):
        return Answers([task.scores(model)])
    if isinstance(task, LetterTask):
        return Answers([letters_of(task, model, options)])
    if isinstance(task, StructureTask):
        return Answers([pairs_of(task, model, options)])
    return frozen([model], task, options)


def model_free_answers(task: AnyTask) -> dict[str, Answers]:
    """Ask the bars that need no model."""
    if isinstance(task, Task):
        return bar_answers(task)
    return {name: Answers([scores]) for name, scores in task.bars().items()}
