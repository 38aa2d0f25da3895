"""python launch/bench.py MODEL … --suite NAME: what pretrained models are good for, beside what they must beat."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretrain.cli import leaks
from pretrain.cli.command import Parser, above_zero, as_json, command, positive, program, refuse_without
from pretrain.errors import PolymeraseError

if TYPE_CHECKING:
    from data_prep.corpus import Ragged
    from pretrain.evaluation.bench.kinds import AnyTask
    from pretrain.evaluation.bench.run import Options

EXAMPLE = """examples:
  python launch/bench.py runs/mine --suite utr --data data                    all tasks whose files are in data/
  python launch/bench.py exports/a exports/b --suite dna --tasks tf_0,mouse_2 --json
  python launch/bench.py exports/mine --train a.csv.gz --dev b.csv.gz --test c.csv.gz --task mine
  python launch/bench.py exports/mine --train a.tsv --test c.tsv --sequence utr --label load --metric r2
  python launch/bench.py exports/mine --suite rna --tune --epochs 20 --lr 3e-4  fine-tunes too
  python launch/bench.py exports/mine --suite dna --tune --out dna.json       continues after an interruption

A logistic (classes) or ridge (values) regression is fitted on frozen states, with its penalty chosen on dev rows.
--tune adds the published head, trained together with the encoder. Baselines on the same rows are counts of 4-mers,
without and with the letters at both ends, the same encoder with random weights, and published figures if the suite has
them. Errors come from a bootstrap over test rows and from the spread over seeds; "better" means by more than two of
them. The table also counts test sequences that occur in training rows, or have relatives there or in the pretraining
corpus. A suite is a YAML file, from configs/bench/ or your own.

exit status: 0 measured, 2 wrong input
"""

# options that other options need
_OF_TUNING = ("head", "epochs", "patience", "lr", "batch", "lora", "precision", "keep")
_OF_FILES = ("task", "sequence", "label", "kind", "metric")
_OF_SUITES = ("tasks", "data")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog=program("bench"), description="Evaluate pretrained models on labeled tasks with fixed splits.",
        epilog=EXAMPLE,
    )  # fmt: skip
    result.add_argument(
        "models", nargs="+", metavar="MODEL", help="run folders, or Hugging Face folders of supported families"
    )
    suite = result.add_argument_group("tasks of a suite")
    suite.add_argument("--suite", metavar="NAME", help="rna, utr, dna, variants, or a .yaml of your own")
    suite.add_argument("--tasks", metavar="A,B", help="only these tasks of the suite (default: all)")
    suite.add_argument("--data", default="data", metavar="DIR", help="folder of the suite's files (default: data)")
    own = result.add_argument_group("a task of your own: .csv or .tsv with a header line (also .gz), or FASTA")
    for split, about in (
        ("train", "training rows"),
        ("dev", "default: a tenth of the training rows"),
        ("test", "test rows"),
    ):
        own.add_argument(f"--{split}", metavar="FILE", help=about)
    own.add_argument("--task", metavar="NAME", help="name of the task (default: that of the test file)")
    own.add_argument("--sequence", default="sequence", metavar="NAME", help="column (default: sequence)")
    own.add_argument(
        "--label", default="label", metavar="NAME", help="column (default: label); of a FASTA a word, or last"
    )
    own.add_argument(
        "--kind",
        choices=("auto", "classification", "regression", "tokens"),
        default="auto",
        help="default: by the labels; tokens: a label has one character for every letter (? is no class)",
    )
    own.add_argument("--metric", metavar="NAME", help="the metric to compare by (default: accuracy, or spearman)")
    result.add_argument(
        "--pool", choices=("mean", "cls"), default="mean", help="frozen states: mean over letters (default)"
    )
    result.add_argument("--layer", type=int, default=-1, metavar="L", help="0: embeddings, -1: last layer (default)")
    leaks.option(result)
    result.add_argument(
        "--seeds",
        type=positive,
        default=3,
        metavar="N",
        help="number of random encoders and of fine-tunings (default: 3)",
    )
    tuning = result.add_argument_group("fine-tuning")
    tuning.add_argument("--tune", action="store_true", help="also train heads and encoders, which wants a GPU")
    tuning.add_argument(
        "--head", choices=("pooler", "mean", "two_layers"), default="", help="default: the published head of the family"
    )
    tuning.add_argument("--epochs", type=positive, default=20, metavar="N", help="at most (default: 20)")
    tuning.add_argument(
        "--patience",
        type=positive,
        default=3,
        metavar="N",
        help="stop after this many epochs without improvement on dev rows (default: 3)",
    )
    tuning.add_argument("--lr", type=above_zero, default=1e-4, metavar="RATE", help="default: 1e-4")
    tuning.add_argument("--batch", type=positive, default=32, metavar="S", help="sequences per step (default: 32)")
    tuning.add_argument(
        "--lora",
        type=positive,
        default=0,
        metavar="RANK",
        help="train adapters of this rank instead of all weights (peft)",
    )
    tuning.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="precision of the encoder; weights stay float32 (default: fp32)",
    )
    tuning.add_argument("--keep", metavar="DIR", help="write the fine-tuned model of every task to DIR/TASK")
    result.add_argument(
        "--out", metavar="FILE", help="JSON file, written after every task; repeat the command to continue"
    )
    result.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Bench; the exit status is in the help."""
    args = parser().parse_args(arguments)
    result = bench(args)
    if args.json:
        print(as_json(result))
    return 0


def bench(args: argparse.Namespace) -> dict[str, Any]:
    """Run every task asked for on every model; without ``--json`` each table is printed when it is done."""
    from pretrain.evaluation.bench.keep import check_head, keep
    from pretrain.evaluation.bench.kinds import base_of, run_any
    from pretrain.evaluation.bench.saved import Saved
    from pretrain.evaluation.bench.words import missing_lines, task_table
    from pretrain.evaluation.model import load_model
    from pretrain.exporting.new_folder import refuse_existing

    _check(args)
    options = _options(args)
    missing: dict[str, str] = {}
    tasks = _tasks(args, missing)
    first = next(tasks)  # wrong files are said before models are read
    models = [load_model(source) for source in args.models]
    saved = Saved(Path(args.out) if args.out else None, models, options, as_json)
    for asked in (first, *tasks):
        task = base_of(asked)
        if not saved.has(task):
            folder = Path(args.keep or "") / task.name
            if args.keep:
                check_head(models[0], args.head, task)
                refuse_existing(folder)
            found = run_any(models, asked, options)
            if args.keep and found.tuned:
                line = keep(found.tuned[models[0].source], models[0], task, found.json, folder)
                found.json["tuned"]["kept"] = str(folder)
                print(line, file=sys.stderr)
            saved.add(task, found.json, missing)
        if not args.json:
            print(task_table(task.name, saved.tasks[task.name], args.models), end="\n\n", flush=True)
    for line in missing_lines(missing):
        print(line, file=sys.stderr if args.json else sys.stdout)
    return saved.json(missing)


def _check(args: argparse.Namespace) -> None:
    """PolymeraseError for what does not go together, and for options that would have no effect."""
    own = [name for name in ("train", "dev", "test") if getattr(args, name)]
    if bool(args.suite) == bool(own):
        raise PolymeraseError("expected --suite NAME, or --train and --test files of your own; see --help")
    line = parser()
    refuse_without(line, args, () if args.tune else _OF_TUNING, "--tune")
    refuse_without(line, args, _OF_FILES if args.suite else (), "files of your own (--train, --test)")
    refuse_without(line, args, _OF_SUITES if own else (), "--suite")
    if args.kind == "tokens" and args.head:
        raise PolymeraseError("--head has no effect with --kind tokens, whose head is linear; leave --head out")
    if args.kind == "tokens" and args.pool != line.get_default("pool"):
        raise PolymeraseError("--pool has no effect with --kind tokens, where no state is pooled; leave --pool out")
    twice = {source for source in args.models if args.models.count(source) > 1}
    if twice:
        raise PolymeraseError(f"{min(twice)}: this model is given twice; give every model once")
    if args.keep and len(args.models) > 1:
        raise PolymeraseError(f"--keep: expected one model, got {len(args.models)}; run them one by one")


def _options(args: argparse.Namespace) -> Options:
    from pretrain.evaluation.bench.run import Options
    from pretrain.evaluation.probing.tuning import Tuning

    tuning = Tuning(
        args.head, args.epochs, args.lr, args.batch, lora=args.lora, patience=args.patience, precision=args.precision
    )

    trained_on = {source: leaks.pretraining_of(source, args.pretrained_on) for source in args.models}

    def pretrained(source: str, asked: Ragged) -> dict[str, Any]:
        return trained_on[source].leak(asked)

    tuned = tuning if args.tune else None
    return Options(args.pool, args.layer, args.seeds, tuned, leaks.related, pretrained)


def _tasks(args: argparse.Namespace, missing: dict[str, str]) -> Iterator[AnyTask]:
    """Of a suite, or the one of the command line."""
    from pretrain.evaluation.bench.files import Columns, Split, read_task
    from pretrain.evaluation.bench.letters import KIND as LETTERS
    from pretrain.evaluation.bench.letters import read_letter_task
    from pretrain.evaluation.bench.suites import load_suite, tasks_of

    files = {split: Path(getattr(args, split)) for split in ("train", "dev", "test") if getattr(args, split)}
    if args.suite:
        yield from tasks_of(
            load_suite(args.suite), args.tasks.split(",") if args.tasks else None, Path(args.data), missing
        )
        return
    if not {"train", "test"} <= files.keys():
        raise PolymeraseError(
            "expected both --train and --test (--dev is drawn from training rows where it is not given)"
        )
    name = args.task or files["test"].name.partition(".")[0]
    columns = Columns(args.sequence, args.label)
    if args.kind == LETTERS:
        yield read_letter_task(name, files, columns, Split(), args.metric)
    else:
        yield read_task(name, files, columns, Split(), args.kind, args.metric)
