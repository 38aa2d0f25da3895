"""What papers report of their models, beside ours, counted in the same way and in the way that can be trusted.

MutBERT: exp of the mean loss over all scored positions of its test set, the fifth that it shows included, and with soft
targets at variants (recipes/mutbert.md#objective). A position that shows its letter costs next to nothing, so that the
figure is far below what the model makes of hidden letters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pretrain.objectives import OBJECTIVES

_LARGEST = 700.0  # of losses whose exponential is a float


@dataclass(frozen=True)
class Reported:
    """A perplexity of a paper.

    Attributes:
        perplexity: the figure, on the paper's own test set.
        counted: part of the targets it is a mean over.
        source: who reports it, and where.
    """

    perplexity: float
    counted: str
    source: str


REPORTED: dict[str, Reported] = {
    "mutbert": Reported(1.996, "all", "Long et al. 2025, Bioinformatics, doi 10.1093/bioinformatics/btaf229")
}


def beside_reported(family: str, objectives: dict[str, Any]) -> dict[str, Any] | None:
    """Count a model's perplexity as the paper of its family does, and at hidden positions alone.

    Args:
        family: name of the model's family.
        objectives: name -> ``hidden``, ``shown``, ``all`` figures with their losses.

    Returns:
        ``{"paper", "source", "counted", "all": {"model", "best_baseline"}, "hidden": {…}}``, or None where nothing is
        reported of this family or the model was not asked for it.
    """
    reported = REPORTED.get(family)
    name = next((one for one in objectives if OBJECTIVES[one].scope == "hidden_tokens"), None)
    if reported is None or name is None:
        return None
    parts = {
        part: _perplexities(figures)
        for part in ("all", "hidden")
        if "loss" in (figures := objectives[name].get(part, {}))
    }
    return {
        "objective": name,
        "paper": reported.perplexity,
        "source": reported.source,
        "counted": reported.counted,
        **parts,
    }


def lines(result: dict[str, Any] | None) -> Iterator[str]:
    """Say it in two lines; none where nothing is reported."""
    if result is None:
        return
    for part, words in (("all", "shown positions included, as the paper counts"), ("hidden", "hidden positions alone")):
        if part in result:
            paper = f"{result['paper']} on its own test set" if part == result["counted"] else "not reported"
            ours = result[part]
            best = "" if ours["best_baseline"] is None else f", best baseline {ours['best_baseline']:.4f}"
            yield f"perplexity ({result['objective']}), {words}: paper {paper}, this model {ours['model']:.4f}{best}"


def _perplexities(figures: dict[str, Any]) -> dict[str, float | None]:
    best = figures.get("best_baseline")
    baseline = figures["baselines"][best] if best else None
    return {
        "model": float(np.exp(min(figures["loss"], _LARGEST))),
        "best_baseline": None if baseline is None else float(np.exp(min(baseline, _LARGEST))),
    }
