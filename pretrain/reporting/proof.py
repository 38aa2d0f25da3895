"""The table of a proof run (docs/proof.md): what `evaluate --json` and `bench --out` found, as Markdown.

    python -m pretrain.reporting.proof RUN

reads RUN/random.json and RUN/families.json (held-out losses) and RUN/nrc.json and RUN/utr.json (labeled tasks).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pretrain.baselines.words import label

SPLITS = {"random": "sequences held out at random", "families": "sequences of families it has not seen"}
HEADER = ("held-out", "the model", "must beat", "difference")


def rows_of(run: Path) -> Iterator[tuple[str, ...]]:
    """Yield the table's rows, those of files that are there."""
    for split, about in SPLITS.items():
        if found := _read(run / f"{split}.json"):
            yield from _loss_rows(found, about)
    for name in ("nrc", "utr"):
        if found := _read(run / f"{name}.json"):
            for task, result in found["tasks"].items():
                yield from _task_rows(task, result)


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _loss_rows(found: dict[str, Any], about: str) -> Iterator[tuple[str, ...]]:
    name, losses = next(iter(found["objectives"].items()))
    hidden = losses["hidden"]
    model = f"{hidden['loss']:.4f} ± {hidden['standard_error']:.4f}"
    baselines = hidden["baselines"]
    best = hidden["best_baseline"]
    chains = [key for key in baselines if key.startswith("markov")]
    chain = min(chains, key=baselines.__getitem__) if chains else best
    error = hidden["difference_standard_error"]
    what = f"nats at hidden positions, {hidden['sequences']:,} {about}"
    yield what, model, f"{label(best, name)}: {baselines[best]:.4f}", _signed(-hidden["difference"], error)
    if chain != best:
        difference = baselines[chain] - hidden["loss"]
        yield what, model, f"{label(chain, name)}: {baselines[chain]:.4f}", f"{difference:+.4f}"


def _task_rows(task: str, result: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    metric, bars = result["metric"], result["bars"]
    for how, name, own in (("fine-tuned", "tuned", "random_weights_tuned"), ("frozen", "metrics", "random_weights")):
        if name not in result:
            continue
        value = result[name][metric]
        versus = result["versus"] if name == "metrics" else result[name]["versus"]
        for bar, values in bars.items():
            if metric not in values or (bar.startswith("random_weights") and bar != own):
                continue
            text = f"{value - values[metric]:+.3f}"
            if bar in versus:
                text = _signed(versus[bar]["difference"], versus[bar]["standard_error"], 3)
            yield f"{task}, {metric}, {how}", f"{value:.3f}", f"{bar}: {values[metric]:.3f}", text
    leak = ", ".join(
        f"{key.replace('_', ' ')} {value:,}" for key, value in result["leak"].items() if type(value) is int
    )
    if leak:
        yield f"{task}, relatives of test rows among its training rows", leak, "", ""


def _signed(difference: float, error: float, digits: int = 4) -> str:
    word = "better" if difference > 2 * error else "worse" if difference < -2 * error else "no different"
    return f"{difference:+.{digits}f} ± {error:.{digits}f}, {word}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit status 0, or 2 where there is nothing to print."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if len(words) != 1:
        print("error: expected one run folder: python -m pretrain.reporting.proof RUN", file=sys.stderr)
        return 2
    rows = list(rows_of(Path(words[0])))
    if not rows:
        files = "random.json, families.json, nrc.json or utr.json"
        print(f"error: {words[0]}: expected {files} in it, got none; run launch/proof.sh", file=sys.stderr)
        return 2
    for row in (HEADER, ("---",) * len(HEADER), *rows):
        print("| " + " | ".join(row) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
