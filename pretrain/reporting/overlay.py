"""Several runs on one page: their curves over each other, what they reached, and in what their configs differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data_prep.html_page import Page
from pretrain.baselines.words import main_part
from pretrain.errors import PolymeraseError
from pretrain.objectives import OBJECTIVES
from pretrain.reporting.picture import Picture, curve_axes, picture_of
from pretrain.reporting.plots import smooth
from pretrain.reporting.recipe_diff import flat_config, is_place, plain
from pretrain.reporting.report import facts
from pretrain.runs.history import RunRecords

MOST = 8  # runs whose curves can still be told apart
# dark enough on white for text, and apart for every common kind of color vision
_COLORS = ("#33658a", "#c2410c", "#1a7f37", "#8a4fa3", "#8a6a00", "#0f766e", "#b42318", "#444444")
_STYLES = ("-", "--", "-.", ":", "-", "--", "-.", ":")


def names_of(runs: list[RunRecords]) -> list[str]:
    """The folder of each run, as short as tells them apart."""
    short = [run.folder.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run.folder) for run in runs]


def check_several(runs: list[RunRecords]) -> None:
    """PolymeraseError where runs cannot be drawn over each other."""
    if len(runs) > MOST:
        raise PolymeraseError(
            f"{len(runs)} runs: expected at most {MOST}, because more cannot be distinguished; leave some out"
        )
    folders = [run.folder.resolve() for run in runs]
    if twice := next((folder for folder in folders if folders.count(folder) > 1), None):
        raise PolymeraseError(f"{twice} is given twice; give each run once")


def config_differences(runs: list[RunRecords]) -> list[list[str]]:
    """Header, and a row per key whose values differ: key, value in each run. Of places only those of corpora count."""
    flat = [flat_config(run.config) for run in runs]
    keys = dict.fromkeys(key for one in flat for key in one)
    rows = [
        [key, *(plain(one.get(key)) for one in flat)]
        for key in keys
        if (key.startswith("corpus.") or key == "run.seed" or not is_place(key))
        and any(one.get(key) != flat[0].get(key) for one in flat)
    ]
    return [["key", *names_of(runs)], *rows]


def reached(runs: list[RunRecords]) -> list[list[Any]]:
    """Header and one row per run and objective: held-out loss where a model is judged, beside its best baseline."""
    rows: list[list[Any]] = []
    for name, run in zip(names_of(runs), runs, strict=True):
        figures = facts(run)
        state = f"{figures['step']:,}" + ("" if figures["finished"] else f" of {figures['steps']:,}")
        common = [state, figures["tokens"], figures["parameters"], figures["family"] or "its own"]
        measured = run.held_out.get("objectives", {})
        for objective in figures["objectives"] or {"–": {}}:
            one = measured.get(objective, {})
            part = one.get(main_part(one), {}) if one else {}
            loss = part.get("loss", run.last(f"validation/{objective}/loss"))
            best = part.get("baselines", {}).get(part.get("best_baseline"))
            difference = None if best is None or loss is None else loss - best
            where = main_part(one) if part else "all"
            figures_of_part = [f"{objective}, {where}", loss, part.get("standard_error"), best, difference]
            rows.append([name, *figures_of_part, *common])
    head = ["run", "objective", "held-out loss", "± s.e.", "best baseline", "loss - baseline", "step", "tokens",
            "parameters", "family"]  # fmt: skip
    return [head, *rows]


def overlays_of(runs: list[RunRecords]) -> dict[str, Picture]:
    """Pictures by the name of their file, without its ending."""
    found = {}
    for name in dict.fromkeys(name for run in runs for name in run.config.objectives.active()):
        hidden = any(run.names(f"validation/{name}/hidden/loss") for run in runs)
        key = f"{name}/hidden/loss" if hidden else f"{name}/loss"
        title = f"{name}: loss{' at hidden positions' if hidden else ''}"
        found[f"held-out-{name}"] = _curves(runs, f"validation/{key}", f"{title}, held out", OBJECTIVES[name].unit)
        found[f"training-{name}"] = _curves(runs, key, f"{title}, training, smoothed", OBJECTIVES[name].unit, True)
    found["learning-rate"] = _curves(runs, "learning_rate", "Learning rate", "rate", whole=True)
    found["gradient-norm"] = _curves(runs, "gradient_norm", "Gradient norm before clipping, smoothed", "norm", True)
    found["throughput"] = _curves(runs, "tokens_per_second", "Throughput", "tokens per second", whole=True)
    return {name: picture for name, picture in found.items() if picture is not None}


def _curves(
    runs: list[RunRecords], metric: str, title: str, unit: str, smoothed: bool = False, whole: bool = False
) -> Picture | None:
    """One metric of all runs. Of losses the first, very high ones may leave the frame; ``whole``: nothing does."""
    axes = curve_axes()
    late: list[np.ndarray] = []
    for number, (name, run) in enumerate(zip(names_of(runs), runs, strict=True)):
        steps, values = run.series(metric)
        if not len(steps):
            continue
        shown = smooth(values) if smoothed else values
        marks: dict[str, Any] = {"marker": "o", "markersize": 3} if len(steps) <= 30 else {}
        axes.plot(steps, shown, _STYLES[number], color=_COLORS[number], linewidth=1.6, label=name, **marks)
        late.append(shown[len(shown) // 5 :])
    if not late:
        return None
    after = np.concatenate(late)
    after = after[np.isfinite(after)]
    if not whole and len(after) and (top := float(after.max())) < axes.get_ylim()[1]:
        # first steps would press all else together
        low = min(float(after.min()), top)
        axes.set_ylim(low - 0.05 * max(top - low, 1e-9), top + 0.1 * max(top - low, 1e-9))
    axes.set_title(title, loc="left")
    axes.set(xlabel="step", ylabel=unit)
    axes.legend(frameon=False, fontsize=8)
    return picture_of(axes.figure)


def write_comparison(runs: list[RunRecords], out: Path) -> dict[str, Any]:
    """Write the page to ``out`` and its pictures beside it, in a folder of the same name. Returns what is in it."""
    from data_prep.corpus.files import write_atomic

    check_several(runs)
    pictures, rows, differing = overlays_of(runs), reached(runs), config_differences(runs)
    folder = out.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    files = [str(path) for name, picture in pictures.items() for path in picture.write(folder, name)]
    page = Page(" · ".join(names_of(runs)))
    page.heading("Results")
    page.table(rows)
    page.paragraph(
        "Losses on different corpora, splits, maskings or tokenizers are not comparable; see below.", "muted"
    )
    page.heading("How they went")
    page.pictures({name: picture.png for name, picture in pictures.items()})
    page.heading("Differences between the configs")
    if len(differing) > 1:
        page.table(differing)
    else:
        page.paragraph("Only in file paths.")
    write_atomic(out, page.text().encode())
    keys = [row[0] for row in differing[1:]]
    return {
        "runs": [str(run.folder) for run in runs],
        "reached": [dict(zip(rows[0], row, strict=True)) for row in rows[1:]],
        "differences": {row[0]: dict(zip(names_of(runs), row[1:], strict=True)) for row in differing[1:]},
        "differing_keys": keys, "report": str(out), "plots": sorted(files),
    }  # fmt: skip
