"""Figures in words: "below" and "above" only for a difference beyond two standard errors."""

from __future__ import annotations

import re
from typing import Any

from pretrain.baselines.figures import verdict
from pretrain.objectives import OBJECTIVES

PARTS = ("hidden", "shown", "all")  # of the targets of an objective that hides tokens; "all" of every other

_LABELS = {
    "letters_given_shown": "letters given the shown token",
    "nearest_relative": "nearest training relative",
    "given_letter": "classes given the letter",
    "length": "length alone",
    "length_and_composition": "length and composition",
    "kmer_counts": "counts of k-mers",
}
_ADVICE = (
    "Try another learning rate (python launch/find_lr.py CONFIG), more steps or warm-up, or a smaller model; "
    "docs/troubleshooting.md names the usual causes."
)


def label(key: str, name: str) -> str:
    """Name a baseline for a reader: ``markov_both_5`` is a Markov chain of order 5, both sides."""
    if key in ("letters", "constant"):
        return OBJECTIVES[name].baseline
    if found := re.fullmatch(r"markov_(left|both)_(\d+)", key):
        side = {"left": "left context", "both": "both sides"}[found[1]]
        return f"Markov chain of order {found[2]}, {side}"
    if found := re.fullmatch(r"given_(\d+)_neighbors", key):
        return f"classes given the letter and {found[1]} on each side"
    return _LABELS.get(key, key)


def plus_minus(value: float, error: float | None) -> str:
    """Format ``1.3803 ± 0.0021``, or the value alone."""
    return f"{value:.4f}" if error is None else f"{value:.4f} ± {error:.4f}"


def compared(figures: dict[str, Any], name: str) -> str:
    """Format a difference to the best baseline as a clause, such as ``0.0210 ± 0.0030 below … (1.4013)``."""
    best = figures["best_baseline"]
    against = f"{label(best, name)} ({figures['baselines'][best]:.4f})"
    difference, error = figures["difference"], figures["difference_standard_error"]
    size = plus_minus(abs(difference), error)
    return {
        "better": f"{size} below {against}",
        "worse": f"{size} above {against}",
        "level": f"no different from {against}: {plus_minus(difference, error)}",
        "unknown": f"{against} next to it; one sequence does not show whether they differ",
    }[verdict(figures)]


def clause(name: str, part: str, figures: dict[str, Any]) -> str:
    """Format one part of one objective: its loss, then the best baseline and the difference."""
    where = "" if part == "all" else f" at {part} positions"
    loss = plus_minus(figures["loss"], figures["standard_error"])
    accuracy = f", accuracy {figures['accuracy']:.3f}" if "accuracy" in figures else ""
    if not figures.get("baselines"):
        return f"{name} loss{where} {loss}{accuracy}"
    first = next(iter(figures["baselines"]))
    constant = f"{label(first, name)} {figures['baselines'][first]:.4f}"
    return f"{name} loss{where} {loss} ({constant}{accuracy}), {compared(figures, name)}"


def main_part(figures: dict[str, Any]) -> str:
    """Return the part that counts: hidden targets if there are some, else all."""
    return next(part for part in ("hidden", "all") if "loss" in figures.get(part, {}))


def conclusion(objectives: dict[str, dict[str, Any]]) -> list[str]:
    """Say what a run learned, one sentence per objective, with advice if that is little or nothing."""
    lines = []
    for name, figures in objectives.items():
        part = main_part(figures)
        found = figures[part]
        if not found.get("baselines"):
            continue
        where = f"{name}, at hidden positions" if part == "hidden" else name
        where = f"{where}, {found['sequences']:,} held-out sequences"
        best, unit = found["best_baseline"], OBJECTIVES[name].unit.split(" per ")[0]
        size = plus_minus(abs(found["difference"]), found["difference_standard_error"])
        said = verdict(found)
        if said == "better":
            lines.append(f"learned ({where}): {size} {unit} better than the best baseline, {label(best, name)}")
        elif said == "unknown":
            lines.append(f"too few held-out sequences to say what was learned ({where})")
        else:
            how = f"{size} {unit} worse than" if said == "worse" else "no better than"
            if verdict(found, "constant_") == "better":
                first = label(next(iter(found["baselines"])), name)
                gain = plus_minus(-found["constant_difference"], found["constant_difference_standard_error"])
                lines.append(
                    f"learned less than counting ({where}): {gain} {unit} better than {first}, {how} "
                    f"{label(best, name)}. Train longer, on more data, or a larger model."
                )
            else:
                lines.append(f"learned nothing ({where}): {how} {label(best, name)}. {_ADVICE}")
    return lines
