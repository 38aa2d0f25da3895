"""Run a recipe: the commands of configs/corpora/NAME.yaml, one after the other, in the current folder.

All commands are checked before the first one runs. Each step says what disk, time and count to expect, for files of
your own by their size. A step that is finished is skipped by its stage, so after an interruption the same command goes
on. `--dry-run` shows the commands and the counts to expect, and files that no command fetches: those you put in place
yourself.

example:
  python -m data_prep build configs/corpora/utrbert.yaml
"""

import argparse
import shlex
import time

from data_prep.errors import DataPrepError
from data_prep.fetch.recipes import load_recipe, missing_files, needs, words_of
from data_prep.stages.command import main, parse_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("recipe", metavar="RECIPE", help="YAML file")
    parser.add_argument("--dry-run", action="store_true", help="show the commands, run nothing")


def run(args: argparse.Namespace) -> int:
    """Run the recipe; exit status of the step that failed, else 0."""
    recipe = load_recipe(args.recipe)
    steps = recipe["steps"]
    for number, step in enumerate(steps, 1):
        try:
            parse_command(shlex.split(step.run))
        except DataPrepError as error:
            raise DataPrepError(f"{args.recipe} step {number}: {error}") from None
    missing = missing_files(recipe)
    if missing and not args.dry_run:
        raise DataPrepError(f"{args.recipe}: {missing[0]}")
    for line in missing:
        print(line)
    if in_all := needs(steps):
        basis = f" ({recipe['estimates']})" if recipe.get("estimates") else ""
        print(f"{args.recipe} needs {in_all}{basis}")
    for number, step in enumerate(steps, 1):
        print(f"step {number} of {len(steps)}: python -m data_prep {step.run}", flush=True)
        if step.expected:
            print(f"  {step.expected}", flush=True)
        if args.dry_run:
            continue
        start = time.monotonic()
        if status := main(words_of(step.run)):
            return status
        print(f"  step {number} took {time.monotonic() - start:,.1f} s")
    for count in recipe.get("counts", []):
        print(f"{count['what']}: published {count['published']}, to be expected {count['expected']}")
    return 0
