"""A loss forecast: small runs on a corpus, a law fitted to them, and a larger run that shows whether it held."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pretrain.config import Config, load_config
from pretrain.errors import PolymeraseError
from pretrain.planning.scaling_law import Rung, fit_law, interval

SCHEDULE = ["schedule.name=constant", "schedule.min_lr=0.0", "schedule.decay_steps=0", "schedule.total_steps=null"]


@dataclass(frozen=True)
class Plan:
    """A ladder.

    Attributes:
        config, settings: of every run.
        rungs: settings that make a run small, one list a rung.
        target: settings of the larger run.
        steps, target_steps: how long they train.
        points: evaluations of a run, evenly spread.
        skip: share of a run, from its start, whose evaluations are not fitted: warm-up and the first plateau.
        out: folder of the runs.
    """

    config: str
    settings: list[str]
    rungs: list[list[str]]
    target: list[str]
    steps: int
    target_steps: int
    points: int
    skip: float
    out: Path


def forecast(plan: Plan) -> dict[str, Any]:
    """Run the ladder, predict the larger run, run it too, and compare. Runs that are finished are not repeated.

    Rates are constant after warm-up, so that every evaluation of a run is the end of a shorter one.
    """
    small = [_run(plan, f"rung-{number}", extra, plan.steps) for number, extra in enumerate(plan.rungs, start=1)]
    points = [point for run in small for point in run]
    law = fit_law(points)
    parameters, tokens = _size(plan, plan.target, plan.target_steps)
    low, high = interval(points, law, parameters, tokens)
    predicted = float(law.loss(parameters, tokens))
    result: dict[str, Any] = {
        "rungs": [asdict(point) for point in points],
        "law": asdict(law),
        "target": {"parameters": parameters, "tokens": tokens},
        "predicted": predicted,
        "interval": [low, high],
    }
    measured = _run(plan, "target", plan.target, plan.target_steps)[-1]
    return {**result, "measured": measured.loss, "inside": low <= measured.loss <= high}


def _settings(plan: Plan, extra: list[str], steps: int) -> list[str]:
    every = max(1, steps // plan.points)
    return [
        *plan.settings,
        *SCHEDULE,
        *extra,
        f"train.steps={steps}",
        f"train.eval_every={every}",
        f"train.save_every={steps}",
    ]


def _size(plan: Plan, extra: list[str], steps: int) -> tuple[int, float]:
    """Return the trained parameters, and the tokens of the run by its budget (batches are filled up to it)."""
    from pretrain.planning.costs import parameter_count
    from pretrain.training.components import build_components

    config = load_config(plan.config, _settings(plan, extra, steps))
    components = build_components(config)
    return parameter_count(config, components.settings), float(steps * _tokens_per_step(config))


def _tokens_per_step(config: Config) -> int:
    if config.batch.tokens is None:
        raise PolymeraseError(
            "batch.tokens is not set, but a forecast counts tokens; set it (and batch.sequences=null)"
        )
    return config.batch.tokens * config.batch.accumulation


def _run(plan: Plan, name: str, extra: list[str], steps: int) -> list[Rung]:
    """Train one run in a process of its own; return its evaluations after the share that is skipped."""
    folder = plan.out / name
    parameters, tokens = _size(plan, extra, steps)
    words = [f"run.dir={folder}", *_settings(plan, extra, steps)]
    command = [sys.executable, "-m", "pretrain", "pretrain", "--config", plan.config, *words]
    print(f"{name}: {parameters:,} parameters, about {tokens / 1e6:.1f} M tokens", file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PolymeraseError(f"{name} ({folder}) ended with status {done.returncode}: {last.removeprefix('error: ')}")
    names = _losses(plan, extra, steps)
    points: dict[int, Rung] = {}  # by step: a finished run that is asked again writes its last evaluation again
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        loss = next((row[key] for key in names if key in row), None)
        if loss is not None and row["step"] > plan.skip * steps:
            points[row["step"]] = Rung(parameters, tokens * row["step"] / steps, float(loss))
    if not points:
        raise PolymeraseError(
            f"{folder}: no held-out loss of hidden or next tokens after {plan.skip:.0%} of the run: expected an "
            "objective over tokens and a corpus with a validation split; add one, or lower --skip"
        )
    return list(points.values())


def _losses(plan: Plan, extra: list[str], steps: int) -> list[str]:
    """Return the names that a held-out loss over tokens may have in metrics.jsonl, at hidden positions first."""
    from pretrain.objectives import OBJECTIVES
    from pretrain.objectives.base import TOKEN_SCOPES

    active = load_config(plan.config, _settings(plan, extra, steps)).objectives.active()
    names = [name for name in active if OBJECTIVES[name].scope in TOKEN_SCOPES]
    return [f"validation/{name}/{part}loss" for name in names for part in ("hidden/", "")]
