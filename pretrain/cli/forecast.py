"""python launch/forecast.py --config NAME --rung SETTINGS … --target SETTINGS: what a larger run will reach."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pretrain.cli.command import Parser, as_json, command, positive, program

EXAMPLE = """examples:
  python launch/forecast.py --config demo/rnaernie2.yaml corpus.path=corpora/demo --steps 300 --target-steps 600 \\
      --rung model.hidden_size=32 --rung model.hidden_size=48 --target model.hidden_size=96 --out runs/forecast

The law L = E + A N^-a + B D^-b (N parameters, D tokens) is fitted to held-out losses of small runs. It predicts the
larger run with a 95 % interval, and that run is trained too, to check the prediction. Rates stay constant after
warm-up. Finished runs are not repeated. A power law has no plateau: --skip leaves out the steps before the loss begins
to fall. A run that learns something new later ends below its forecast.

exit status: 0 measured (inside the interval or not), 2 wrong input
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = Parser(
        prog=program("forecast"),
        description="Predict the held-out loss of a larger run from small ones, and check the prediction.",
        epilog=EXAMPLE,
    )
    result.add_argument("--config", required=True, help="YAML file, as given or under configs/")
    result.add_argument("settings", nargs="*", metavar="section.key=value", help="settings of every run")
    result.add_argument(
        "--rung",
        action="append",
        required=True,
        metavar="SETTINGS",
        help="settings of one small run, separated by spaces; repeat the option",
    )
    result.add_argument("--target", required=True, metavar="SETTINGS", help="settings of the larger run")
    result.add_argument("--steps", type=positive, required=True, metavar="N", help="steps of every small run")
    result.add_argument(
        "--target-steps", type=positive, metavar="N", help="steps of the larger run (default: the same)"
    )
    result.add_argument("--points", type=positive, default=8, metavar="N", help="evaluations of a run (default: 8)")
    result.add_argument(
        "--skip",
        type=_share,
        default=0.3,
        metavar="SHARE",
        help="share of each run, at its start, that is not fitted (default: 0.3)",
    )
    result.add_argument("--out", type=Path, default=Path("runs/forecast"), metavar="DIR", help="folder of the runs")
    result.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run ladder and target; the exit status is in the help."""
    args = parser().parse_intermixed_args(arguments)
    from pretrain.planning.forecast import Plan, forecast

    result = forecast(
        Plan(
            config=args.config,
            settings=args.settings,
            rungs=[rung.split() for rung in args.rung],
            target=args.target.split(),
            steps=args.steps,
            target_steps=args.target_steps or args.steps,
            points=args.points,
            skip=args.skip,
            out=args.out,
        )
    )
    if args.json:
        print(as_json(result))
        return 0
    print(f"{'parameters':>12} {'tokens':>12} {'held-out loss':>14}")
    for rung in result["rungs"]:
        print(f"{rung['parameters']:>12,} {rung['tokens']:>12,.0f} {rung['loss']:>14.4f}")
    low, high = result["interval"]
    target = result["target"]
    verdict = f"predicted {result['predicted']:.4f} [{low:.4f}, {high:.4f}]: {'in' if result['inside'] else 'out'}side"
    print(f"{target['parameters']:>12,} {target['tokens']:>12,.0f} {result['measured']:>14.4f}  {verdict}")
    return 0


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to below 1, got {text!r}")
    return share
