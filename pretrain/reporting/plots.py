"""The curves of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pretrain.baselines.words import label
from pretrain.config import phases_of
from pretrain.objectives import OBJECTIVES
from pretrain.reporting.picture import Picture, curve_axes, picture_of
from pretrain.runs.history import RunRecords

TRAIN, HELD_OUT, BASELINE = "#33658a", "#f26419", "#666666"
_PALETTE = ("#33658a", "#2a9d4a", "#8a4fa3", "#b08900")  # without the color of what is held out
_TROUBLE = ("dropped_updates", "nonfinite_losses", "loss_spikes", "roll_backs")


def plots_of(run: RunRecords) -> dict[str, Picture]:
    """Draw the plots of a run: pictures by the name of their file, without its ending."""
    objectives = list(run.config.objectives.active())
    plots = {
        f"loss-{name}": _picture(_loss, run, name)
        for name in objectives
        if run.names(f"{name}/loss") or run.names(f"validation/{name}/loss")
    }
    for name in objectives:
        if run.names(f"{name}/accuracy"):
            plots[f"accuracy-{name}"] = _picture(_accuracy, run, name)
    plots["learning-rate"] = _picture(_line, run, "learning_rate", "Learning rate", "rate")
    if run.names("gradient_norm"):
        plots["gradient-norm"] = _picture(_gradient, run)
    plots["throughput"] = _picture(_line, run, "tokens_per_second", "Throughput", "tokens per second", True)
    plots["data-wait"] = _picture(_wait, run)
    if run.names_ending("/target_fraction"):
        plots["targets"] = _picture(_targets, run)
    if any(run.last(name) for name in _TROUBLE):
        plots["trouble"] = _picture(_trouble, run)
    return plots


def _picture(draw: Callable[..., None], run: RunRecords, *arguments: Any) -> Picture:
    from matplotlib.ticker import MaxNLocator

    axes = curve_axes()
    draw(axes, run, *arguments)
    for phase in phases_of(run.config)[1:]:
        if phase.first_step <= run.last_step:
            axes.axvline(phase.first_step, color=BASELINE, linestyle=":", linewidth=1)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    return picture_of(axes.figure)


def _bars(run: RunRecords, name: str, part: str) -> dict[str, float]:
    """The constant answer and the best baseline, by what a reader is told."""
    found = run.held_out.get("objectives", {}).get(name, {}).get(part) or {}
    baselines = found.get("baselines", {})
    return {label(key, name): baselines[key] for key in (*list(baselines)[:1], found.get("best_baseline")) if key}


def _loss(axes: Any, run: RunRecords, name: str) -> None:
    hidden = bool(run.names(f"validation/{name}/hidden/loss"))  # what a model is judged by, where there is such a part
    key, part = (f"{name}/hidden/loss", "hidden") if hidden else (f"{name}/loss", "all")
    baselines = _bars(run, name, part)
    steps, losses = run.series(key)
    few = len(steps) <= 30
    axes.plot(
        steps, losses, "o-" if few else "-", color=TRAIN, alpha=1.0 if few else 0.35, markersize=3, linewidth=1.2,
        label="training",
    )  # fmt: skip
    if not few:
        axes.plot(steps, smooth(losses), color=TRAIN, linewidth=1.8, label="training, smoothed")
    held_steps, held = run.series(f"validation/{key}")
    axes.plot(held_steps, held, "o-", color=HELD_OUT, markersize=4, linewidth=1.4, label="held out")
    for bar, loss in baselines.items():
        above = loss == max(baselines.values())  # labels of two lines close together stay apart
        axes.axhline(loss, color=BASELINE, linestyle="--", linewidth=1)
        axes.annotate(
            f"{bar} {loss:.3f}", (1.0, loss), xycoords=("axes fraction", "data"), xytext=(-2, 2 if above else -3),
            textcoords="offset points", ha="right", va="bottom" if above else "top", fontsize=8, color=BASELINE,
        )  # fmt: skip
    _frame(axes, losses, np.concatenate([held, list(baselines.values())]))
    axes.set_title(f"{name}: loss{' at hidden positions' if hidden else ''}", loc="left")
    axes.set_ylabel(OBJECTIVES[name].unit)
    _legend(axes)


def _frame(axes: Any, losses: np.ndarray, others: np.ndarray) -> None:
    """Let the first, very high losses leave the frame, and say so: they would press all else into one line."""
    values = np.concatenate([losses, others])
    values = values[np.isfinite(values)]
    if not len(values):
        return
    late = losses[len(losses) // 5 :]
    top = np.nanquantile(late[np.isfinite(late)], 0.95) if np.isfinite(late).any() else values.max()
    top, low = max(top, *others[np.isfinite(others)], values.min()), values.min()
    margin = 0.1 * max(top - low, 1e-3)
    axes.set_ylim(low - margin, top + margin)
    above = int((values > top + margin).sum())
    if above:
        axes.annotate(
            f"{above} early value{'s' if above > 1 else ''} up to {values.max():.3g} above the frame", (0.01, 0.03),
            xycoords="axes fraction", ha="left", va="bottom", fontsize=8, color=TRAIN,
        )  # fmt: skip


def _accuracy(axes: Any, run: RunRecords, name: str) -> None:
    for number, metric in enumerate(run.names(f"{name}/accuracy")):
        steps, values = run.series(metric)
        strategy = metric.removeprefix(f"{name}/accuracy").strip("/")
        axes.plot(
            steps, smooth(values), color=_PALETTE[number % len(_PALETTE)], linewidth=1.6,
            label=f"training, {strategy}" if strategy else "training",
        )  # fmt: skip
    steps, values = run.series(f"validation/{name}/accuracy")
    axes.plot(steps, values, "o-", color=HELD_OUT, markersize=4, linewidth=1.4, label="held out")
    axes.set_title(f"{name}: accuracy", loc="left")
    axes.set_ylabel("share of targets")
    _legend(axes)


def _line(axes: Any, run: RunRecords, name: str, title: str, unit: str, from_zero: bool = False) -> None:
    axes.plot(*run.series(name), color=TRAIN, linewidth=1.6)
    axes.set_title(title, loc="left")
    axes.set_ylabel(unit)
    if from_zero:
        _from_zero(axes)


def _gradient(axes: Any, run: RunRecords) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    _line(axes, run, "gradient_norm", "Gradient norm before clipping", "norm")
    limit = run.config.optimizer.max_grad_norm
    if limit:
        axes.axhline(limit, color=BASELINE, linestyle="--", linewidth=1, label=f"clipped above {limit:g}")
        _legend(axes)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _wait(axes: Any, run: RunRecords) -> None:
    steps, share = run.series("data_wait_fraction")
    axes.fill_between(steps, 100 * share, color=TRAIN, alpha=0.35)
    axes.plot(steps, 100 * share, color=TRAIN, linewidth=1.4)
    axes.set_ylim(0, max(5.0, 110 * float(share.max(initial=0))))
    axes.set_title("Waiting for data", loc="left")
    axes.set_ylabel("% of the time")


def _targets(axes: Any, run: RunRecords) -> None:
    for number, metric in enumerate(run.names_ending("/target_fraction")):
        steps, share = run.series(metric)
        name = metric.removesuffix("/target_fraction")
        axes.plot(steps, 100 * share, color=_PALETTE[number % len(_PALETTE)], linewidth=1.6, label=name)
    _from_zero(axes)
    axes.set_title("Targets", loc="left")
    axes.set_ylabel("% of the tokens")
    _legend(axes)


def _trouble(axes: Any, run: RunRecords) -> None:
    for name, color in zip(_TROUBLE, _PALETTE, strict=False):
        if run.last(name):
            axes.plot(*run.series(name), drawstyle="steps-post", color=color, label=name.replace("_", " "))
    axes.set_title("Bad steps, cumulative", loc="left")
    axes.set_ylabel("steps")
    _legend(axes)


def _from_zero(axes: Any) -> None:
    """A frame from zero to somewhat above the data, which may be all the same."""
    axes.set_ylim(0, 1.1 * max(axes.dataLim.y1, 1e-9))


def smooth(values: np.ndarray) -> np.ndarray:
    """Centered running mean over about a thirtieth of the run; shorter at both ends, so nothing is made up."""
    half = len(values) // 60
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    reach = np.minimum(np.minimum(half, at), len(values) - 1 - at)
    return (total[at + reach + 1] - total[at - reach]) / (2 * reach + 1)


def _legend(axes: Any) -> None:
    """Above the data and below the title, which is set before."""
    rows = -(-len(axes.get_legend_handles_labels()[0]) // 3)
    axes.set_title(axes.get_title(loc="left"), loc="left", pad=6 + 14 * rows)
    axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, fontsize=8)
