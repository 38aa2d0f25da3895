"""Results of a bench as text that a person reads."""

from __future__ import annotations

from typing import Any

from pretrain.evaluation.tables import other_letters, torn_labels

_SHOWN = {
    "classification": ("accuracy", "macro_f1", "mcc", "auroc", "aupr"),
    "tokens": ("accuracy", "macro_f1", "mcc", "auroc", "aupr"),
    "regression": ("spearman", "pearson", "r2", "rmse"),
    "variants": ("auroc", "aupr"),
    "structure": ("pair_f1", "precision", "recall"),
}


def missing_lines(missing: dict[str, str]) -> list[str]:
    """One line for every task that could not be run."""
    return [f"{name}: not run: {why}" for name, why in missing.items()]


def task_table(name: str, task: dict[str, Any], models: list[str]) -> str:
    """One line per row: bars first, then every model; then the leak, what was counted, and the verdicts."""
    rows, by_model = task["rows"], task.get("models") or {models[0]: task}
    what = f"{len(task['classes'])} classes" if task["classes"] else "values"
    what = {
        "variants": "variants of two classes, no training",
        "structure": "base pairs",
        "tokens": f"{what} of single letters",
    }.get(task["kind"], what)
    lines = [
        f"{name}: {what}; {rows['train']:,} training, {rows['dev']:,} dev, {rows['test']:,} test rows; "
        f"compared by {task['metric']} (± standard error)",
        *_grid(_rows(task, by_model), task),
        *(_leak(task) if "test" in task["leak"] else []),
        *_pretraining(by_model),
        *_counted(task, by_model),
    ]
    for source, one in by_model.items():
        title = f"{source}, " if len(by_model) > 1 else ""
        lines.append(f"{title}frozen: {_verdict(one['versus'])}")
        if "tuned" in one:
            lines.append(f"{title}fine-tuned: {_verdict(one['tuned']['versus'])}")
    return "\n".join(lines)


def _rows(task: dict[str, Any], by_model: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Title and figures of every row: shared bars, then of every model its random twins and itself."""
    own = ("random_weights", "random_weights_tuned")
    rows = [(bar, one) for bar, one in task["bars"].items() if bar not in own]
    for source, one in by_model.items():
        title = f"{source}: " if len(by_model) > 1 else ""
        rows += [(f"{title}{bar}", one["bars"][bar]) for bar in own if bar in one["bars"]]
        rows.append((f"{title}model, frozen", one["metrics"] | {"intervals": one["intervals"]}))
        if "tuned" in one:
            rows.append((f"{title}model, fine-tuned", one["tuned"]))
    return rows


def _grid(rows: list[tuple[str, dict[str, Any]]], task: dict[str, Any]) -> list[str]:
    metric, width = task["metric"], max(len(title) for title, _ in rows)
    others = [one for one in _SHOWN[task["kind"]] if one != metric]
    lines = [f"{'':<{width}} {f'{metric} ± s.e.':>18} " + " ".join(f"{one:>9}" for one in others)]
    for title, figures in rows:
        error = figures.get("intervals", {}).get(metric, {}).get("standard_error")
        value = f"{figures[metric]:.4f}" if metric in figures else "-"
        first = value if error is None else f"{value} ± {error:.4f}"
        cells = [f"{figures[one]:>9.4f}" if one in figures else f"{'-':>9}" for one in others]
        lines.append(f"{title:<{width}} {first:>18} {' '.join(cells)}")
    return lines


def _leak(task: dict[str, Any]) -> list[str]:
    leak, metric = task["leak"], task["metric"]
    line = (
        f"leak: of {leak['test']:,} test sequences {leak['identical_in_train']:,} occur in training rows, "
        f"{leak['identical_in_dev']:,} in dev rows ({leak['share']:.1%})"
    )
    if leak["labels_differ"]:
        line += f", {leak['labels_differ']:,} of them with another label"
    lines = [line]
    if "sentence" in leak:
        lines.append(f"relatives in training and dev rows: {leak['sentence']}")
    for what in ("leaked", "relatives"):
        figures = leak.get(f"{metric}_without_{what}", {})
        if shown := ", ".join(f"{name} {value:.4f}" for name, value in figures.items() if value is not None):
            lines.append(f"{metric} without {'those' if what == 'leaked' else 'relatives'}: {shown}")
    return lines


def _pretraining(by_model: dict[str, Any]) -> list[str]:
    """What every model saw of the test sequences in pretraining."""
    lines = []
    for source, one in by_model.items():
        leak = one["leak"].get("pretraining")
        if leak is not None:
            title = f" of {source}" if len(by_model) > 1 else ""
            where = f" ({', '.join(leak['corpora'])})" if "corpora" in leak else ""
            said = leak.get("sentence") or f"not counted: {leak['unknown']}"
            lines.append(f"relatives in the pretraining corpus{title}{where}: {said}")
    return lines


def _counted(task: dict[str, Any], by_model: dict[str, Any]) -> list[str]:
    facts, lines = task["facts"], []
    if "drawn" in facts:
        lines.append(f"drawn here: {facts['drawn']}")
    lines += other_letters(facts)
    lines += torn_labels(facts)
    if letters := facts.get("letters"):
        lines.append(
            f"letters with a class: {letters['train']:,} in training, {letters['dev']:,} in dev, "
            f"{letters['test']:,} in test rows"
        )
    if "test_rows_are_all" in facts:
        lines.append(
            f"one class: all test rows are {facts['test_rows_are_all']}; AUROC, AUPR and MCC are not informative"
        )
    if "classes_with_one_training_row" in facts:
        count, some = facts["classes_with_one_training_row"], facts["rare_classes"]
        more = ", …" if count > len(some) else ""
        lines.append(f"rare: {count:,} classes have one training row: {', '.join(some)}{more}")
    lines += [
        f"{key.replace('_', ' ')}: {value:,} sequences"
        for key, value in facts.items()
        if key.startswith("left_out") and value
    ]
    if count := facts.get("last_letters_in_no_token"):
        lines.append(
            f"cut: the last letters of {count:,} sequences make no whole token; models that read codons leave them out"
        )
    lines += [f"without a label: {facts['without_label']}"] if "without_label" in facts else []
    for source, one in by_model.items():
        if count := one.get("windows", {}).get("longer_sequences"):
            longest = one["windows"]["longest_nt"]
            lines.append(f"long: {source} reads {longest:,} nt; of {count:,} longer sequences the mean of windows")
    return lines


def _verdict(versus: dict[str, Any]) -> str:
    return "; ".join(
        f"{one['verdict']} {'than' if one['verdict'] != 'no different' else 'from'} {bar} "
        f"({one['difference']:+.4f} ± {one['standard_error']:.4f})"
        for bar, one in versus.items()
    )
