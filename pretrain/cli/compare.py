"""python launch/compare.py OURS PUBLISHED [--corpus DIR]: is a model a reproduction of another one?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pretrain.cli import leaks
from pretrain.cli.command import Parser, as_json, command, not_negative, positive, program
from pretrain.errors import PolymeraseError

EXAMPLE = """examples:
  python launch/compare.py runs/ernie exports/ernie-published --corpus corpora/ernie_rna
  python launch/compare.py exports/mine exports/other --json

Each model is a run folder or a Hugging Face folder of a supported family (launch/convert.py makes one from published
weights). "reproduced" means equal tokens and sizes, and a loss at most --tolerance nats higher on the same held-out
records with the same masks. With --corpus, held-out records with relatives in the training data of each model are
counted.

exit status: 0 compared, whatever the verdict, 2 wrong input
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog=program("compare"),
        description="Compare two models: tokens, sizes, weights, hidden states, losses.",
        epilog=EXAMPLE,
    )
    result.add_argument("ours", metavar="OURS", help="run folder or Hugging Face folder")
    result.add_argument("published", metavar="PUBLISHED", help="run folder or Hugging Face folder")
    result.add_argument(
        "settings", nargs="*", metavar="section.key=value", help="--corpus: settings that differ from those of OURS"
    )
    result.add_argument(
        "--step", type=int, metavar="N", help="if OURS is a run: its checkpoint (default: the newest complete one)"
    )
    result.add_argument("--corpus", metavar="DIR", help="corpus whose held-out records both models read")
    result.add_argument(
        "--sequences", type=positive, default=2048, metavar="N", help="at most this many (default: 2048)"
    )
    result.add_argument(
        "--tolerance",
        type=not_negative,
        default=0.01,
        metavar="NATS",
        help="difference that still counts as equally good (default: 0.01)",
    )
    leaks.option(result)
    result.add_argument("--json", action="store_true", help="one JSON object instead of a page")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; the exit status is in the help."""
    args = parser().parse_intermixed_args(arguments)
    if args.pretrained_on and not args.corpus:
        raise PolymeraseError("--pretrained-on has no effect without --corpus; add it, or leave --pretrained-on out")
    from pretrain.evaluation.compare import compare
    from pretrain.evaluation.compare.verdict import page, reproduced, verdicts
    from pretrain.evaluation.model import load_model

    ours, published = load_model(args.ours, args.step), load_model(args.published)
    result = compare(ours, published, args.corpus, args.settings, args.sequences)
    found = verdicts(result, args.tolerance)
    if args.step is not None:
        result["step"] = args.step
    if result["losses"]:
        result["leak"] = {
            side: leaks.of_corpus(source, args.pretrained_on, args.corpus, args.sequences)
            for side, source in (("ours", args.ours), ("published", args.published))
        }
    if args.json:
        answers = {question.replace(" ", "_"): answer for question, answer, _ in found}
        print(as_json({**result, "verdicts": answers, "reproduced": reproduced(found)}))
    else:
        print(page(result, found, args.tolerance))
        for side, leak in result.get("leak", {}).items():
            print(f"{side}: {leaks.line(leak)}")
    return 0
