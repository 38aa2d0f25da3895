"""The report of a run: its result beside the baselines, its course, and its config."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from data_prep.corpus.files import write_atomic
from data_prep.html_page import Page
from pretrain.baselines.figures import verdict
from pretrain.baselines.words import PARTS, clause, conclusion, label
from pretrain.config import phases_of
from pretrain.config.model_choice import choose
from pretrain.families.published import parameter_count
from pretrain.objectives import OBJECTIVES
from pretrain.reporting.picture import Picture
from pretrain.reporting.plots import plots_of
from pretrain.reporting.recipe_diff import Difference, differences, plain, recipe_of
from pretrain.runs.history import RunRecords

_SHARE = "/target_fraction"
_TROUBLE = {
    "dropped_updates": "updates dropped because a gradient was not finite",
    "nonfinite_losses": "losses that were not finite",
    "loss_spikes": "spikes of the loss",
    "roll_backs": "roll-backs to an older checkpoint",
}


class CorpusSection(NamedTuple):
    """One corpus on the page.

    Attributes:
        tables: header rows first.
        pictures: PNG content by file name.
    """

    title: str
    tables: list[list[list[str]]]
    pictures: dict[str, bytes]


def facts(run: RunRecords) -> dict[str, Any]:
    """Return the figures of the page as plain data."""
    objectives: dict[str, Any] = {}
    measured = run.held_out.get("objectives", {})
    for name in run.config.objectives.active():
        prefix = f"validation/{name}/"
        held_out = {key.removeprefix(prefix): run.last(key) for key in run.names(prefix)}
        if held_out:
            objectives[name] = {"held_out": held_out, **{part: measured.get(name, {}).get(part) for part in PARTS}}
    tokens, sequences = run.total("tokens_per_step"), run.total("sequences_per_step")
    speed, wait = run.series("tokens_per_second")[1], run.series("data_wait_fraction")[1]
    return {
        "run": str(run.folder),
        "finished": run.finished,
        "step": run.last_step,
        "steps": run.config.train.steps,
        "phases": [phase.describe() for phase in phases_of(run.config)] if run.config.train.phases else [],
        "family": run.config.model.family,
        "objectives": objectives,
        "conclusion": conclusion(measured),
        "parameters": _parameters(run),
        "tokens": round(tokens),
        "sequences": round(sequences),
        "target_fraction": {
            name.removesuffix(_SHARE): float(run.series(name)[1].mean()) for name in run.names_ending(_SHARE)
        },
        "tokens_per_second": float(speed.mean()) if len(speed) else None,
        "data_wait_fraction": float(wait.mean()) if len(wait) else None,
        "trouble": {name: int(run.last(name) or 0) for name in _TROUBLE},
        "differences": [difference._asdict() for difference in differences(run.config)],
    }


def _parameters(run: RunRecords) -> int:
    return parameter_count(choose(run.config.model)[1])


_KIND = {"better": "good", "worse": "bad"}  # a color only for differences beyond two standard errors


def verdicts(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Compare each objective and part of its targets with the best baseline: (sentence, good or bad or nothing)."""
    found = []
    for name, objective in figures["objectives"].items():
        parts = {part: objective[part] for part in PARTS if objective.get(part) and "loss" in objective[part]}
        found += [(clause(name, part, one), _KIND.get(verdict(one), "muted")) for part, one in parts.items()]
        if not parts:
            loss = objective["held_out"]["loss"]
            found.append((f"{name}: held-out loss {loss:.4f}; {_UNKNOWN}", "muted"))
    return found or [("no held-out data were evaluated", "muted")]


_UNKNOWN = (
    "the run stored no baselines (python launch/evaluate.py RUN --corpus CORPUS measures them), so nothing "
    "follows from it"
)


def _baseline_rows(name: str, objective: dict[str, Any]) -> list[list[Any]]:
    """A table of every baseline by part of the targets, the model last."""
    parts = {part: one for part in PARTS if (one := objective.get(part)) and one.get("baselines")}
    if not parts:
        return [[]]
    keys = dict.fromkeys(key for one in parts.values() for key in one["baselines"])
    rows = [[label(key, name), *(one["baselines"].get(key) for one in parts.values())] for key in keys]
    head = f"{name}, {OBJECTIVES[name].unit}"
    return [[head, *parts], *rows, ["the model", *(one["loss"] for one in parts.values())]]


def write_report(
    run: RunRecords,
    corpora: list[CorpusSection],
    environment: dict[str, Any],
    out: Path,
) -> dict[str, Any]:
    """Write the page to ``out`` and its pictures beside it, in a folder of the same name. Returns the figures.

    Args:
        run: the records.
        corpora: those of the run that still exist.
        environment: versions of the machine that writes the report, for runs that noted none themselves.
        out: the HTML file.
    """
    figures, plots = facts(run), plots_of(run)
    pictures = {name: content for corpus in corpora for name, content in corpus.pictures.items()}
    folder = out.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    files = [path for name, plot in plots.items() for path in plot.write(folder, name)]
    for name, content in pictures.items():
        write_atomic(folder / name, content)
    write_atomic(out, _page(run, figures, plots, corpora, environment).text().encode())
    return figures | {"report": str(out), "plots": sorted(map(str, [*files, *(folder / name for name in pictures)]))}


def _page(
    run: RunRecords,
    figures: dict[str, Any],
    plots: dict[str, Picture],
    corpora: list[CorpusSection],
    environment: dict[str, Any],
) -> Page:
    page = Page(run.folder.resolve().name)
    state = "finished" if run.finished else "not finished"
    page.paragraph(
        f"{figures['family']}, {figures['parameters']:,} parameters in encoder and output head, "
        f"step {figures['step']:,} of {figures['steps']:,}, {state}", "muted",
    )  # fmt: skip
    page.heading("Results")
    for sentence in figures["conclusion"]:
        page.paragraph(sentence)
    page.bullets(verdicts(figures))
    for name, objective in figures["objectives"].items():
        page.table(_baseline_rows(name, objective))
    page.pictures({name: plot.png for name, plot in plots.items() if name.startswith(("loss-", "accuracy-"))})
    page.heading("How it went")
    page.bullets(_course(figures, run))
    page.table(_phase_rows(run))
    page.pictures({name: plot.png for name, plot in plots.items() if not name.startswith(("loss-", "accuracy-"))})
    page.heading(f"Differences from the published recipe (configs/{recipe_of(run.config)}.yaml)")
    _differences(page, differences(run.config))
    for corpus in corpora:
        page.heading(corpus.title)
        for table in corpus.tables:
            page.table(table)
        page.pictures(corpus.pictures)
    page.heading("Environment")
    if not run.environment:
        page.paragraph(
            "The run recorded nothing about its machine; these are the versions that wrote this page.", "muted"
        )
    page.table([["", ""], *([key, plain(value)] for key, value in (run.environment or environment).items())])
    return page


def _course(figures: dict[str, Any], run: RunRecords) -> list[tuple[str, str]]:
    items = []
    if figures["sequences"]:
        each = figures["tokens"] / figures["sequences"]
        items.append(
            (f"{figures['tokens']:,} tokens of {figures['sequences']:,} samples were read, {each:,.1f} tokens each", "")
        )
    for name, share in figures["target_fraction"].items():
        items.append((f"{name}: {share:.2%} of the tokens were targets", ""))
    if figures["tokens_per_second"] is not None:
        items.append((f"{figures['tokens_per_second']:,.0f} tokens per second of training", ""))
    if (wait := figures["data_wait_fraction"]) is not None:
        items.append((f"{wait:.1%} of the time was spent waiting for data", "bad" if wait > 0.05 else ""))
    trouble = {name: count for name, count in figures["trouble"].items() if count}
    items += [(f"{count:,} {_TROUBLE[name]}", "bad") for name, count in trouble.items()]
    if not trouble:
        items.append(("no update was dropped and no loss was abnormal", "good"))
    return items + [(f"step {step:,}: {text}", "bad") for step, text in run.events]


def _phase_rows(run: RunRecords) -> list[list[Any]]:
    """A table of the phases, each with the loss at its end; dotted lines in the pictures are where they meet."""
    if not run.config.train.phases:
        return [[]]
    steps, losses = run.series("loss")
    rows: list[list[Any]] = []
    for phase in phases_of(run.config):
        within = losses[(steps > phase.first_step) & (steps <= phase.end_step)]
        rows.append([phase.number, phase.describe(), float(within[-1]) if len(within) else "not reached"])
    return [["phase", "dotted lines in the plots mark the ends of phases", "training loss at its end"], *rows]


def _differences(page: Page, found: list[Difference]) -> None:
    if not found:
        page.paragraph("Nothing.", "good")
        return
    page.table([["key", "published", "here"], *([d.key, plain(d.published), plain(d.here)] for d in found)])
