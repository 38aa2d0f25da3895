"""python launch/find_lr.py --config NAME [section.key=value ...]: which learning rate a run can take."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pretrain.cli.command import Parser, above_zero, as_json, command, positive, program

EXAMPLE = """examples:
  python launch/find_lr.py --config demo/ernie.yaml corpus.path=corpora/mine
  python launch/find_lr.py --config ernie.yaml model.init_from=exports/ernie corpus.path=corpora/mine --steps 200
  python launch/find_lr.py --config demo/ernie.yaml corpus.path=corpora/mine --json

One short run in one process, in which the rate grows from --low to --high; nothing of it is kept. The suggested rate is
the one at which half of the decrease of the loss is reached; at the rate of the lowest loss, training is about to
diverge. A schedule with warm-up allows a slightly higher rate.

exit status: 0 found, 2 wrong input or no trend
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog=program("find_lr"),
        description="Try increasing learning rates on the first steps of a run, and suggest one.",
        epilog=EXAMPLE,
    )
    result.add_argument("--config", required=True, help="YAML file, as given or under configs/")
    result.add_argument(
        "settings", nargs="*", metavar="section.key=value", help="settings that replace those of the file"
    )
    result.add_argument("--low", type=above_zero, default=1e-6, metavar="RATE", help="first rate (default: 1e-6)")
    result.add_argument("--high", type=above_zero, default=0.1, metavar="RATE", help="last rate (default: 0.1)")
    result.add_argument("--steps", type=positive, default=100, metavar="N", help="steps between them (default: 100)")
    result.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Try; the exit status is in the help."""
    args = parser().parse_intermixed_args(arguments)
    from pretrain.config import load_config
    from pretrain.planning.lr_finder import find_rate

    config = load_config(args.config, args.settings)
    sweep = find_rate(config, args.low, args.high, args.steps)
    if args.json:
        names = ("rates", "losses", "smooth")
        arrays = {name: getattr(sweep, name).tolist() for name in names}
        print(as_json({"suggested": sweep.suggested, "lowest_loss_at": sweep.lowest, **arrays}))
        return 0
    print(f"{'rate':>10} {'loss':>9} {'smooth':>9}")
    for row in range(0, len(sweep.rates), max(1, len(sweep.rates) // 20)):
        print(f"{sweep.rates[row]:>10.2e} {sweep.losses[row]:>9.4f} {sweep.smooth[row]:>9.4f}")
    print(f"suggested: optimizer.lr={sweep.suggested:.1e} (the lowest loss was at {sweep.lowest:.1e})")
    return 0
