"""python launch/probe.py MODEL TABLE --label NAME: a linear probe on frozen embeddings, beside what it must beat."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pretrain.cli import leaks
from pretrain.cli.command import Parser, above_zero, as_json, command, count, positive, program, refuse_without
from pretrain.errors import PolymeraseError

EXAMPLE = """examples:
  python launch/probe.py exports/mine ncrna.fa --label 2                    class: second word of each header
  python launch/probe.py runs/mine mrl.csv --sequence utr --label rl --task regression
  python launch/probe.py exports/mine ncrna.fa --label 2 --folds 10 --json
  python launch/probe.py exports/mine ncrna.fa --label 2 --tune --epochs 10  fine-tunes the published head too

A logistic (classes) or ridge (values) regression is fitted on frozen embeddings, with cross-validation and the same
folds for all rows of the table: this model, the same encoder with random weights, and counts of k-mers. --tune adds the
published head of the family: on the frozen encoder, and trained together with it, from these weights and random ones.
If the rows of the model are not clearly above the others, pretraining has not helped this task. Relatives in different
folds favor every row; relatives in the pretraining corpus favor the model. Both are counted.

exit status: 0 probed, 2 wrong input
"""

_OF_TUNING = ("head", "epochs", "lr", "batch", "precision")  # options that --tune needs


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog=program("probe"),
        description="Measure whether pretraining helps a task, with linear probes and fine-tuned heads.",
        epilog=EXAMPLE,
    )
    result.add_argument("model", metavar="MODEL", help="run folder, or Hugging Face folder of a supported family")
    result.add_argument("table", metavar="TABLE", help=".csv or .tsv with a header line, or a FASTA")
    result.add_argument("--step", type=int, metavar="N", help="checkpoint of a run (default: the newest complete one)")
    result.add_argument(
        "--label", required=True, metavar="NAME", help="column; for a FASTA, the word of the header (2, 3, …)"
    )
    result.add_argument("--sequence", default="sequence", metavar="NAME", help="column (default: sequence)")
    result.add_argument(
        "--task", choices=("auto", "classification", "regression"), default="auto", help="default: by the labels"
    )
    result.add_argument("--folds", type=positive, default=5, metavar="N", help="default: 5")
    result.add_argument("--pool", choices=("mean", "cls"), default="mean", help="default: mean over letters")
    result.add_argument("--layer", type=int, default=-1, metavar="L", help="0: embeddings, -1: last layer (default)")
    result.add_argument("--kmer", type=int, default=4, metavar="K", help="length of the counted k-mers (default: 4)")
    result.add_argument("--too-long", choices=("error", "crop", "skip"), default="crop", help="default: crop")
    result.add_argument(
        "--seed", type=count, default=0, metavar="N", help="seed of folds and random weights (default: 0)"
    )
    leaks.option(result)
    tuning = result.add_argument_group("fine-tuning")
    tuning.add_argument("--tune", action="store_true", help="also train heads and the encoder, which wants a GPU")
    tuning.add_argument(
        "--head", choices=("pooler", "mean", "two_layers"), help="default: the published head of the family"
    )
    tuning.add_argument("--epochs", type=positive, default=5, metavar="N", help="passes over the table (default: 5)")
    tuning.add_argument(
        "--lr",
        type=above_zero,
        default=1e-4,
        metavar="RATE",
        help="ten times as much for frozen encoders (default: 1e-4)",
    )
    tuning.add_argument("--batch", type=positive, default=32, metavar="S", help="sequences per step (default: 32)")
    tuning.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="precision of the encoder; weights stay float32 (default: fp32)",
    )
    result.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Probe; the exit status is in the help."""
    args = parser().parse_args(arguments)
    result = probe_all(args)
    print(as_json(result) if args.json else table(result))
    return 0


def probe_all(args: argparse.Namespace) -> dict[str, Any]:
    """Run the same probe on every kind of features."""
    from pretrain.evaluation.embeddings import embed
    from pretrain.evaluation.length_limits import fit
    from pretrain.evaluation.model import load_model, random_twin
    from pretrain.evaluation.probing.features import kmer_shares
    from pretrain.evaluation.probing.probe import folds_of, probe
    from pretrain.evaluation.probing.table import as_task, contradictions, odd_letters

    refuse_without(parser(), args, () if args.tune else _OF_TUNING, "--tune")
    if args.folds < 2:
        raise PolymeraseError(f"--folds {args.folds}: expected at least 2 folds")
    if not 1 <= args.kmer <= 6:
        raise PolymeraseError(f"--kmer {args.kmer}: expected 1 to 6 letters")
    ids, sequences, texts, unlabeled = _read(args)
    letters = odd_letters(args.table, sequences)
    model = load_model(args.model, args.step)
    numbered = [str(row) for row in range(len(ids))]
    kept, sequences, left_out = fit(model, args.table, numbered, sequences, args.too_long)
    left_out |= {"without a label": len(unlabeled)} if unlabeled else {}
    rows = [int(row) for row in kept]
    labeled = as_task(
        args.table, [ids[row] for row in rows], sequences, [texts[row] for row in rows], args.task, args.folds
    )
    twin = random_twin(model, args.seed)
    features = {
        "model": embed(model, labeled.ids, sequences, args.pool, args.layer).values,
        "random weights": embed(twin, labeled.ids, sequences, args.pool, args.layer).values,
        f"{args.kmer}-mer counts": kmer_shares(sequences, args.kmer),
    }
    results = {name: probe(values, labeled, args.folds, args.seed) for name, values in features.items()}
    if args.tune:
        results |= _tuned(args, model, twin, labeled)
    return {
        "model": args.model,
        **({} if args.step is None else {"step": args.step}),
        "table": args.table,
        "task": "classification" if labeled.is_classification else "regression",
        "classes": list(labeled.classes),
        "rows": len(rows),
        "left_out": left_out,
        "without_label": unlabeled,
        **letters,
        **contradictions(labeled),
        "folds": args.folds,
        "results": results,
        "leak": {
            "folds": leaks.between_folds(sequences, list(folds_of(labeled, args.folds, args.seed))),
            "pretraining": leaks.pretraining_of(args.model, args.pretrained_on).leak(sequences),
        },
    }


def _tuned(args: argparse.Namespace, model: Any, twin: Any, labeled: Any) -> dict[str, Any]:
    """The rows of --tune."""
    from pretrain.evaluation.probing.tuning import Tuning, tune

    head = args.head or model.family.fine_tuning_head
    frozen, trained = (
        Tuning(head, args.epochs, args.lr, args.batch, frozen, precision=args.precision) for frozen in (True, False)
    )
    return {
        f"model, {head} head": tune(model, labeled, frozen, args.folds, args.seed),
        "model, fine-tuned": tune(model, labeled, trained, args.folds, args.seed),
        "random, fine-tuned": tune(twin, labeled, trained, args.folds, args.seed),
    }


def _read(args: argparse.Namespace) -> tuple[list[str], Any, list[str], dict[str, str]]:
    """Ids, sequences and label texts of a table or a FASTA, and the rows without a label, by name."""
    import numpy as np

    from data_prep.corpus import Ragged
    from data_prep.records import read_records
    from pretrain.data.ragged import take
    from pretrain.evaluation.probing.missing import is_missing
    from pretrain.evaluation.probing.rows import is_table
    from pretrain.evaluation.probing.table import labels_of_headers, read_columns

    path = Path(args.table)
    if is_table(path):
        ids, rows, texts, unlabeled = read_columns(path, args.sequence, args.label)
        return ids, Ragged.from_rows(rows), texts, unlabeled
    ids, headers, sequences = read_records(path)
    texts = labels_of_headers(args.table, headers, args.label)
    kept = [row for row, text in enumerate(texts) if not is_missing(text)]
    missing = {one: text for one, text in zip(ids, texts, strict=True) if is_missing(text)}
    return [ids[row] for row in kept], take(sequences, np.array(kept)), [texts[row] for row in kept], missing


def table(result: dict[str, Any]) -> str:
    """Format one row per kind of features."""
    from pretrain.evaluation.probing.missing import name_rows
    from pretrain.evaluation.tables import other_letters, torn_labels

    what = f"{len(result['classes'])} classes" if result["classes"] else "values"
    metrics = list(next(iter(result["results"].values())))
    lines = [
        f"{result['table']}: {result['rows']:,} sequences, {what}, {result['folds']} folds (mean ± deviation)",
        f"{'features':<22} " + " ".join(f"{metric:>17}" for metric in metrics),
    ]
    for name, figures in result["results"].items():
        cells = [f"{figures[metric]['mean']:.4f} ± {figures[metric]['std']:.4f}" for metric in metrics]
        lines.append(f"{name:<22} " + " ".join(f"{cell:>17}" for cell in cells))
    lines += [f"{count:,} {why}" for why, count in result["left_out"].items()]
    if result["without_label"]:
        lines[-1] += f": {name_rows(result['without_label'])}"
    lines.append(f"relatives in other folds: {result['leak']['folds']}")
    lines.append(leaks.line(result["leak"]["pretraining"]))
    return "\n".join([*lines, *other_letters(result), *torn_labels(result)])
