"""``polymerase families``, ``python -m pretrain.families``: list the published models, or measure them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pretrain.cli.command import Parser, command
from pretrain.errors import RunError

EXAMPLE = "example: python -m pretrain.families --check"


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status: 0 all well, 1 a figure out of bounds, 2 bad use."""
    parser = Parser("python -m pretrain.families", "List the published models, or measure them.", EXAMPLE)
    parser.add_argument(
        "--check", action="store_true", help="compare parameter counts and logits with the references, print a table"
    )
    parser.add_argument("--golden", metavar="DIR", help="folder of the references (default: tests/golden here)")
    options = parser.parse_args(arguments)
    if options.golden is not None and not options.check:
        parser.error("--golden has no effect without --check")
    return _check(Path(options.golden or "tests/golden")) if options.check else _list()


def _list() -> int:
    from pretrain.families import FAMILIES

    print("\n".join(FAMILIES))
    return 0


def _check(golden: Path) -> int:
    from pretrain.families.check import table

    text, good = table(golden)
    print(text)
    if not good:
        raise RunError("a family differs from its reference: in its logits by more than allowed, or in parameter count")
    return 0
