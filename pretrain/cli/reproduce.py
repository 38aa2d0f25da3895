"""python launch/reproduce.py FAMILY: the way from raw files to a comparison with the release, step by step."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pretrain.cli.command import Parser, command, positive, program
from pretrain.errors import PolymeraseError, RunError
from pretrain.families.weights import WEIGHTS, where

EXAMPLE = """examples:
  python launch/reproduce.py ernie_rna                       the steps, and which are done
  python launch/reproduce.py ernie_rna --ranks 8             for eight GPUs, with the published batch
  python launch/reproduce.py ernie_rna --weights ERNIE-RNA_pretrain.pt --run    run the missing steps in order
  python launch/reproduce.py --list                          all families, their corpora and GPUs

Steps are commands that you can type. --run runs one after another and stops at the first that fails or that you have to
do yourself.

exit status: 0 printed, or all steps done; 1 a step failed; 2 wrong input, or a step that you have to do yourself
"""


class Step(NamedTuple):
    """One step. command: words, empty where it is for the user to do. state: done, missing, or how far it is."""

    what: str
    command: list[str]
    state: str
    note: str = ""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.state == "done"


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    result = Parser(
        prog=program("reproduce"), description="Show the steps that reproduce a published model, and which are done.",
        epilog=EXAMPLE,
    )  # fmt: skip
    result.add_argument("family", nargs="?", help="published model, as in docs/models.md")
    result.add_argument("--list", action="store_true", help="all families: config, corpus recipe, GPUs of the recipe")
    result.add_argument("--ranks", type=positive, metavar="N", help="GPUs to train on (default: those of the recipe)")
    result.add_argument("--weights", metavar="FILE", help="weights of the release, to compare with")
    result.add_argument("--run", action="store_true", help="run the missing steps in order")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Print or run; the exit status is in the help."""
    line = parser()
    args = line.parse_args(arguments)
    if args.list:
        if args.family or args.run or args.weights or args.ranks:
            raise PolymeraseError("--list shows all families; leave the other options out")
        print("\n".join(_overview()))
        return 0
    if not args.family:
        raise PolymeraseError(f"expected a family, got none; see {line.prog} --list")
    if args.run:
        return _run(args)
    print("\n".join(_described(steps_of(args.family, args.ranks, args.weights))))
    return 0


def steps_of(name: str, ranks: int | None = None, weights: str | None = None) -> list[Step]:
    """Return the steps of a family, with their state in the current folder.

    Args:
        name: of the family.
        ranks: GPUs to train on; None: those of the recipe, or one.
        weights: the release's file; None: it is for the user to get.
    """
    from pretrain.families import find_family
    from pretrain.planning.starting import launch_command

    family, tree = find_family(name), recipe_tree(name)
    config, corpus = f"{family.recipe}.yaml", tree.get("corpus", {}).get("path")
    run_dir = Path(tree.get("run", {}).get("dir") or f"runs/{family.recipe}")
    ours, published = Path("exports") / run_dir.name, Path("exports") / f"{run_dir.name}-published"
    settings = [] if corpus else [f"corpus.path={_own_corpus(name)}"]
    if family.recipe_ranks:  # the published step on any number of GPUs
        accumulation = tree.get("batch", {}).get("accumulation", 1)
        settings.append(f"batch.micro_batches_per_step={accumulation * family.recipe_ranks}")
    words, count = ["--config", config, *settings], ranks or family.recipe_ranks or 1
    plan = ["python", "launch/pretrain.py", *words, "--dry-run", "--ranks", str(count)]
    compare = ["python", "launch/compare.py", str(run_dir), str(published), "--corpus", corpus or _own_corpus(name)]
    return [
        *(_corpus_steps(corpus) if corpus else [_corpus_by_hand(name)]),
        Step("look at the plan: memory, epochs, hours", plan, "any time"),
        Step("pretrain", shlex.split(launch_command(words, count)), _state_of_run(run_dir), _cost(name)),
        Step("export", ["python", "launch/export.py", str(run_dir), "--out", str(ours)], _state(ours / "config.json")),
        _weights_step(name, weights, published),
        Step("compare with the release", compare, "at any time"),
    ]  # fmt: skip


def recipe_tree(name: str) -> dict[str, Any]:
    """Return the YAML of a family's recipe with what it inherits, unchecked: files that it names need not be there."""
    from pretrain.config.yaml_file import find_config, read_yaml
    from pretrain.families import find_family

    return read_yaml(find_config(f"{find_family(name).recipe}.yaml"))


def corpus_recipe(corpus: str) -> Path | None:
    """Return the recipe under ``configs/corpora`` that builds a corpus; None where there is none."""
    from data_prep.fetch.recipes import load_recipe
    from pretrain.config.yaml_file import CONFIG_FOLDER

    for path in sorted((CONFIG_FOLDER / "corpora").glob("*.yaml")):
        if load_recipe(path)["corpus"] == corpus:
            return path
    return None


def _corpus_steps(corpus: str) -> list[Step]:
    from data_prep.fetch.recipes import load_recipe, missing_files, needs

    path = corpus_recipe(corpus)
    if path is None:
        return [
            Step(f"corpus {corpus}", [], _state(Path(corpus) / "manifest.json"), "no recipe: bring your own corpus")
        ]
    recipe = load_recipe(path)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    stages = [(step, _state(_output_of(step.run))) for step in recipe["steps"]]
    done = sum(state == "done" for _, state in stages)
    state = "done" if done == len(stages) else "missing" if not done else f"{done} of {len(stages)} stages done"
    all_needs = needs(recipe["steps"])
    note = f"{all_needs} ({recipe.get('estimates', 'not measured')})" if all_needs else ""
    missing = missing_files(recipe) if state != "done" else []
    yours = [Step("files of your own", [], "missing", "; ".join(missing))] if missing else []
    build = Step("corpus", ["python", "-m", "data_prep", "build", str(shown)], state, note)
    return [*yours, build, *(Step(f"  stage: {one.run}", [], f"  {state}", one.expected) for one, state in stages)]


def _corpus_by_hand(name: str) -> Step:
    corpus = _own_corpus(name)
    note = f"there is no recipe for its corpus: build one (python -m data_prep --help), for example in {corpus}"
    return Step("corpus", [], _state(Path(corpus) / "manifest.json"), note)


def _own_corpus(name: str) -> str:
    return f"corpora/{name}"


def _output_of(run: str) -> Path:
    words = shlex.split(run)
    out = Path(words[words.index("--out") + 1]) if "--out" in words else Path(words[-1])
    return out if out.suffix or words[0] == "fetch" else out / "manifest.json"


def _state(path: Path) -> str:
    return "done" if path.exists() else "missing"


def _state_of_run(run_dir: Path) -> str:
    from pretrain.runs.checkpoint import Checkpoints

    if (run_dir / "DONE").is_file():
        return "done"
    steps = Checkpoints(run_dir).steps()
    return f"stopped at step {steps[-1]:,}; the same command continues" if steps else "missing"


def _weights_step(name: str, weights: str | None, out: Path) -> Step:
    state = _state(out / "config.json")
    if state != "done" and weights is not None and not Path(weights).exists():
        state = f"missing: {weights} does not exist"
    words = ["python", "launch/convert.py", "--family", name, weights or "WEIGHTS", "--out", str(out)]
    if name not in WEIGHTS:
        return Step("published weights", words, state, "" if weights else f"WEIGHTS: {where(name)}")
    get = shlex.join(WEIGHTS[name].download(f"weights/{name}"))
    note = f"WEIGHTS: {where(name)}; {f'get it by `{get}` and' if get else 'get it, then'} give it as --weights"
    return Step("published weights", words, state, "" if weights else note)


def _cost(name: str) -> str:
    """Floating-point operations of the whole schedule and hours that follow: computed, never measured."""
    from pretrain.families import find_family
    from pretrain.models import architecture_of

    family, tree = find_family(name), recipe_tree(name)
    batch, steps = tree.get("batch", {}), tree.get("train", {}).get("steps")
    length = int(tree.get("corpus", {}).get("max_tokens") or family.max_tokens)
    per_batch = batch.get("tokens") or (batch.get("sequences") or 0) * length
    if not (steps and per_batch and family.recipe_ranks):
        return "the recipe does not state its whole schedule"
    tokens = steps * per_batch * batch.get("accumulation", 1) * family.recipe_ranks
    architecture = architecture_of(family.settings)
    share = tree.get("masking", {}).get("rate", 0.15)
    head = architecture.head(family.settings).flops_per_token()
    flops = 3.0 * tokens * (architecture.flops_per_token(family.settings, length) + share * head)
    hours = flops / (0.3 * 989e12) / 3600
    return (
        f"{steps:,} steps, at most {tokens / 1e9:,.1f} G tokens, {flops:.1e} FLOP, about {hours:,.0f} hours of one "
        "H100 at 30 % of its bf16 peak (computed for the longest sequences, not measured)"
    )


def _described(steps: list[Step]) -> Iterator[str]:
    number = 0
    for step in steps:
        if step.what.startswith("  "):
            yield f"   [{step.state.strip()}] {step.what.strip()}"
            continue
        number += 1
        yield f"{number}. {step.what}: {step.state}"
        if step.command:
            yield f"   {shlex.join(step.command)}"
        if step.note:
            yield f"   {step.note}"
    following = next((step for step in steps if _is_to_do(step)), None)
    if following is not None:
        yield f"next: {shlex.join(following.command) if following.command else following.what.strip()}"
    else:
        yield "next: nothing is missing; compare"


def _is_to_do(step: Step) -> bool:
    return not (step.is_done or step.state.startswith("any time") or step.what.startswith("  "))


def _run(args: argparse.Namespace) -> int:
    while True:
        steps = steps_of(args.family, args.ranks, args.weights)
        step = next((one for one in steps if _is_to_do(one)), None)
        if step is None:
            step = steps[-1]
        if not step.command or "WEIGHTS" in step.command:
            raise PolymeraseError(f"{step.what}: you have to do this step: {step.note}")
        print(f"{step.what}: {shlex.join(step.command)}", flush=True)
        words = [sys.executable, *step.command[1:]] if step.command[0] == "python" else step.command
        try:
            status = subprocess.run(words, check=False).returncode
        except FileNotFoundError:
            raise PolymeraseError(
                f"{step.what}: {words[0]} is not on this machine; run the step where it is installed"
            ) from None
        if status:
            raise RunError(f"{step.what}: ended with status {status}; fix the error, and run this command again")
        if step is steps[-1]:
            return 0
        after = steps_of(args.family, args.ranks, args.weights)
        if next((one for one in after if _is_to_do(one)), None) == step:
            raise RunError(f"{step.what}: succeeded, but its output is missing; look at what it printed")


def _overview() -> list[str]:
    from pretrain.families import FAMILIES

    rows = [("family", "config", "corpus recipe", "GPUs of the recipe")]
    for name, family in FAMILIES.items():
        corpus = recipe_tree(name).get("corpus", {}).get("path")
        path = corpus_recipe(corpus) if corpus else None
        recipe = f"configs/corpora/{path.name}" if path else "none here"
        rows.append((name, f"{family.recipe}.yaml", recipe, str(family.recipe_ranks or "not stated")))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
