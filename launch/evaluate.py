"""python launch/evaluate.py HF_DIR_OR_RUN --corpus DIR: held-out figures of a model beside their baselines."""

import sys
from pathlib import Path

# This script's folder comes first on sys.path, where pretrain.py hides the package `pretrain`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
from typing import Any

from pretrain.errors import PolymeraseError

EXAMPLE = """examples:
  python launch/evaluate.py runs/mine --corpus corpora/mine
  python launch/evaluate.py exports/mine --corpus corpora/other --json

exit status: 0 evaluated, 2 wrong input
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="python launch/evaluate.py",
        description="Evaluate a run or a Hugging Face folder on the validation split of a corpus.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("model", metavar="HF_DIR_OR_RUN", help="run folder, or Hugging Face folder of our families")
    result.add_argument("--corpus", required=True, metavar="DIR", help="corpus folder")
    result.add_argument("settings", nargs="*", metavar="section.key=value", help="settings that differ from the run's")
    result.add_argument("--sequences", type=int, default=2048, metavar="N", help="at most this many (default: 2048)")
    result.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return result


def main() -> int:
    """Evaluate; the exit status is in the help."""
    args = parser().parse_intermixed_args()
    try:
        from pretrain.scoring import score

        result = score(args.model, args.corpus, args.settings, args.sequences)
    except PolymeraseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1) if args.json else table(result))
    return 0


def table(result: dict[str, Any]) -> str:
    """The result as aligned columns."""
    lines = [
        f"{result['model']} ({result['family']}) on {result['sequences']:,} held-out sequences of {result['corpus']}",
        f"{'objective':<12} {'loss':>10} {'trivial':>10} {'perplexity':>11} {'accuracy':>9}",
    ]
    columns = (("loss", 10), ("trivial_loss", 10), ("perplexity", 11), ("accuracy", 9))
    for name, figures in result["objectives"].items():
        cells = [f"{figures[key]:>{width}.4f}" if key in figures else f"{'-':>{width}}" for key, width in columns]
        lines.append(f"{name:<12} {' '.join(cells)}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
