"""Fine-tuned models of a bench, written as folders that transformers loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from pretrain.errors import PolymeraseError
from pretrain.evaluation.bench.letters import KIND as LETTERS
from pretrain.evaluation.bench.task import Task
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.probing.heads import LettersHead, PoolerHead
from pretrain.evaluation.probing.lora import merged_state
from pretrain.evaluation.probing.tuning import Tuned
from pretrain.exporting.classifier import Classifier, export_classifier


def check_head(model: TrainedModel, head: str, task: Task) -> None:
    """PolymeraseError unless the head is one that a class of transformers computes: asked before the work is done."""
    if task.kind == LETTERS:
        return
    head = head or model.family.fine_tuning_head
    if head != "pooler":
        raise PolymeraseError(
            f"--keep: expected the head pooler, which AutoModelForSequenceClassification computes, got {head!r}; "
            "give --head pooler"
        )
    model.require_first_token("--keep (--head pooler)")


def keep(tuned: Tuned, model: TrainedModel, task: Task, result: dict[str, Any], folder: Path) -> str:
    """Write the first fine-tuning of a task; returns one line on what was written."""
    linear = [part for part in tuned.head.layers if isinstance(part, nn.Linear)]
    assert isinstance(tuned.head, PoolerHead | LettersHead)
    output, dense = linear[-1], linear[0] if isinstance(tuned.head, PoolerHead) else None
    scale, shift = tuned.unit
    classifier = Classifier(
        {f"encoder.{name}": tensor.detach().cpu().float() for name, tensor in merged_state(tuned.encoder).items()},
        None if dense is None else (dense.weight, dense.bias),
        (output.weight * scale, output.bias * scale + shift),
        task.table.classes,
    )
    class_name, difference = export_classifier(
        classifier, model.family, model.settings, folder, _about(task, model, result)
    )
    return f"{folder}: {class_name}, verified by transformers in a fresh process (largest difference {difference:.1e})"


def _about(task: Task, model: TrainedModel, result: dict[str, Any]) -> str:
    """What the README says of the task, its figures and its limits."""
    tuned, metric = result["tuned"], task.metric
    error = tuned["intervals"][metric]["standard_error"]
    bars = ", ".join(f"{name} {bar[metric]:.4f}" for name, bar in result["bars"].items() if metric in bar)
    what = f"classes {', '.join(task.table.classes)}" if task.table.classes else "values in their own unit"
    how = "side by side; " if task.kind == LETTERS else "whose first tokens' states were averaged; "
    sentences = [
        f"Fine-tuned from `{Path(model.source).name}` on the task {task.name} ({what}).",
        f"{metric} on {len(task.true):,} test rows: {tuned[metric]:.4f} ± {error:.4f} (standard error; mean of "
        f"{tuned['seeds']} trainings, of which this is the first).",
        f"Baselines: {bars}.",
        f"Sequences longer than {result['windows']['longest_nt']:,} nt were read as windows {how}"
        "the class above truncates them instead.",
    ]
    return " ".join(sentences)
