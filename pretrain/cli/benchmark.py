"""python launch/benchmark.py --config NAME [--against hf], or data, or operators: how fast what is."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pretrain.cli.command import Parser, above_zero, command, count, positive, program
from pretrain.errors import PolymeraseError

EXAMPLE = """examples:
  python launch/benchmark.py --config demo/ernie.yaml --against hf
  python launch/benchmark.py --config rnaernie2.yaml --against hf --corpus corpora/mine --json engine.precision=fp32
  python launch/benchmark.py --config ernie.yaml --against hf --length 510 --sequences 8 model.num_hidden_layers=4
  python launch/benchmark.py --config dnabert_3mer.yaml --against loop --length 200
  python launch/benchmark.py --config ernie.yaml --ranks 2 engine.zero_stage=2
  python launch/benchmark.py data [--corpus corpora/mine] [--motifs motifs.tsv] [--json]
  python launch/benchmark.py data --corpus-stages [fasta vcf windows fold storage relatives tokens] [--json]
  python launch/benchmark.py operators [--json]
  python launch/benchmark.py counted [UTR-LM MutBERT ...] [--before docs/counted_before.json] [--json rows.json]
  python launch/benchmark.py gpu [--seconds 440] [--json results.json]

Contestants take steps in turn, each in its own process; compare ratios within one run. hf is the class in transformers,
padded, in random order and with group_by_length; loop is a hand-written BERT. Without --corpus and without a corpus at
corpus.path, sequences are random letters with the lengths of non-coding RNA. counted needs no GPU: it counts the
kernels and bytes of a step on a GPU, and estimates its speed.

exit status: 0 measured, 2 wrong input
"""
_AGAINST = {"hf": ["hf", "hf_grouped"], "loop": ["loop"]}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(program("benchmark"), "Measure the training step of a config.", EXAMPLE)
    result.add_argument("--config", required=True, help="YAML file, as given or under configs/")
    result.add_argument(
        "settings", nargs="*", metavar="section.key=value", help="settings that replace those of the file"
    )
    result.add_argument("--against", choices=sorted(_AGAINST), help="contestants on the same samples")
    result.add_argument("--corpus", metavar="DIR", help="samples (default: corpus.path, else synthetic)")
    result.add_argument("--profile", action="store_true", help="also list the operations of one of our steps")
    result.add_argument("--json", action="store_true", help="print one JSON object")
    result.add_argument("--ranks", type=positive, default=1, metavar="N", help="processes per contestant, one GPU each")
    result.add_argument("--sequences", type=positive, default=32, metavar="B", help="per step and rank (default: 32)")
    result.add_argument("--length", type=positive, metavar="NT", help="length of all synthetic sequences")
    result.add_argument("--steps", type=positive, default=50, help="measured steps at most (default: 50)")
    result.add_argument("--warmup", type=count, default=20, help="warm-up steps at most (default: 20)")
    result.add_argument(
        "--seconds",
        type=above_zero,
        default=90.0,
        help="stop warm-up, and stop measuring, after this time (default: 90)",
    )
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit status is in the help."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:2] == ["data", "--corpus-stages"]:
        return _corpus_stages(words[2:])
    if words[:1] == ["data"]:
        return _data_path(words[1:])
    if words[:1] == ["gpu"]:
        return _gpu(words[1:])
    if words[:1] == ["counted"]:
        return _counted(words[1:])
    if words[:1] == ["operators"]:
        return _operators(words[1:])
    args = parser().parse_intermixed_args(words)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        report = _measure(args, Path(scratch))
    if args.json:
        print(json.dumps(report))
        return 0
    from pretrain.benchmarking.report import table

    print(table(report))
    return 0


def _data_path(words: list[str]) -> int:
    """From the stream to packed batches; figures are in docs/benchmarks.md."""
    from data_prep.benchmarks.rows import hardware, table
    from pretrain.benchmarking.datapath import data_path_rows
    from pretrain.data.sources import open_checked

    data = Parser(
        program("benchmark") + " data", "Measure the data path, from the sample stream to packed batches.", EXAMPLE
    )
    data.add_argument("--corpus", metavar="DIR", help="corpus to read (default: synthetic)")
    data.add_argument(
        "--motifs", nargs="+", default=[], metavar="FILE", help="motif lists; without them, no motif masking"
    )
    data.add_argument("--json", action="store_true", help="print one JSON object")
    args = data.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(args.corpus or f"{scratch}/corpus")
        if args.corpus is None:
            _make_up_corpus(folder, 20_000, None)
        open_checked(str(folder))
        rows = data_path_rows(folder, args.motifs, Path(scratch))
    print(json.dumps({"hardware": hardware(), "rows": rows}) if args.json else f"{hardware()}\n{table(rows)}")
    return 0


def _corpus_stages(words: list[str]) -> int:
    """Stages of data_prep and tokenizers beside their peers; figures are in docs/corpora.md."""
    from data_prep.benchmarks import BENCHMARKS
    from data_prep.benchmarks.rows import hardware, table
    from pretrain.benchmarking.tokens import tokenization_rows

    benchmarks = {**BENCHMARKS, "tokens": tokenization_rows}
    about = "Measure stages of data preparation and tokenizers next to other programs."
    stages = Parser(program("benchmark") + " data --corpus-stages", about, EXAMPLE)
    stages.add_argument("only", nargs="*", metavar="STAGE", help=f"{', '.join(benchmarks)} (default: all)")
    stages.add_argument("--json", action="store_true", help="print one JSON object")
    args = stages.parse_args(words)
    if unknown := set(args.only) - set(benchmarks):
        raise PolymeraseError(f"unknown benchmark {min(unknown)!r}; choose from {', '.join(benchmarks)}")
    rows: list[dict] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        for name in args.only or benchmarks:
            folder = Path(scratch) / name
            folder.mkdir()
            rows += benchmarks[name](folder)
    print(json.dumps({"hardware": hardware(), "rows": rows}) if args.json else f"{hardware()}\n{table(rows)}")
    return 0


def _gpu(words: list[str]) -> int:
    """Everything one wants to know of a GPU, part after part."""
    about = "Check the code on a GPU, and measure its speed and where the time goes."
    kit = Parser(program("benchmark") + " gpu", about, EXAMPLE)
    kit.add_argument(
        "only", nargs="*", metavar="PART", help="ceilings tests correct programs models loop profiles peers"
    )
    kit.add_argument(
        "--seconds", type=above_zero, default=440.0, help="start no part that would end later (default: 440)"
    )
    kit.add_argument("--json", metavar="FILE", help="write the results here, after every part")
    kit.add_argument("--tiny", action="store_true", help="run all parts on a CPU, in small sizes")
    args = kit.parse_args(words)
    import torch

    from pretrain.benchmarking.gpu.run import PARTS, run

    if unknown := set(args.only) - set(PARTS):
        raise PolymeraseError(f"unknown part {min(unknown)!r}; choose from {', '.join(PARTS)}")
    if not torch.cuda.is_available() and not args.tiny:
        raise PolymeraseError("found no GPU; check the driver and CUDA_VISIBLE_DEVICES, or try --tiny on a CPU")
    return 1 if run(args.seconds, Path(args.json) if args.json else None, args.tiny, args.only) else 0


def _counted(words: list[str]) -> int:
    """Steps of all families counted as a GPU would run them; the table is in docs/benchmarks.md."""
    about = "Count the kernels and bytes of a training step on a GPU, without one, and estimate its speed."
    counted = Parser(program("benchmark") + " counted", about, EXAMPLE)
    counted.add_argument("only", nargs="*", metavar="CASE", help="rows of the table (default: all)")
    counted.add_argument("--before", metavar="FILE", help="rows of another version of the code, to compare with")
    counted.add_argument("--json", metavar="FILE", help="write the rows here too")
    args = counted.parse_args(words)
    from pretrain.planning.counted.table import CASES, count_row, from_record, markdown, record

    if unknown := set(args.only) - set(CASES):
        raise PolymeraseError(f"unknown case {min(unknown)!r}; choose from {', '.join(CASES)}")
    before = {}
    if args.before is not None:
        try:
            read = json.loads(Path(args.before).read_text(encoding="utf-8"))
            before = {name: from_record(values) for name, values in read.items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise PolymeraseError(f"--before {args.before}: expected rows that --json wrote, got: {error}") from None
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        rows = {name: count_row(name, Path(scratch)) for name in args.only or CASES}
    if args.json is not None:
        Path(args.json).write_text(json.dumps({name: record(row) for name, row in rows.items()}, indent=1) + "\n")
    print("\n".join(markdown(rows, before)))
    return 0


def _operators(words: list[str]) -> int:
    """Operators of models beside their plain formulas; figures are in docs/benchmarks.md."""
    from data_prep.benchmarks.rows import hardware, table
    from pretrain.benchmarking.operators import operator_rows

    about = "Measure model operators next to their plain formulas."
    operators = Parser(program("benchmark") + " operators", about, EXAMPLE)
    operators.add_argument("--json", action="store_true", help="print one JSON object")
    args = operators.parse_args(words)
    rows = operator_rows()
    print(json.dumps({"hardware": hardware(), "rows": rows}) if args.json else f"{hardware()}\n{table(rows)}")
    return 0


def _measure(args: argparse.Namespace, scratch: Path) -> dict:
    from pretrain.config import load_config

    if min(args.sequences, args.steps, args.ranks) < 1 or (args.length or 1) < 1 or args.warmup < 0:
        raise PolymeraseError("--sequences, --steps, --ranks and --length count from 1, --warmup from 0")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise PolymeraseError("start the benchmark once, without a launcher; --ranks N starts the ranks of contestants")
    if args.ranks > 1 and args.against == "loop":
        raise PolymeraseError("--against loop: the hand-written loop has one rank; leave --ranks out")
    config = load_config(args.config, args.settings)
    config = _with_corpus(config, args, scratch)
    import torch

    from pretrain.benchmarking.compare import compare
    from pretrain.benchmarking.contestants import BenchmarkPlan

    if torch.cuda.is_available() and args.ranks > torch.cuda.device_count():
        raise PolymeraseError(f"--ranks {args.ranks}: each takes a GPU, give at most {torch.cuda.device_count()}")
    course = BenchmarkPlan(args.steps, args.sequences, args.ranks)
    names = ["ours", *_AGAINST.get(args.against, [])]
    return compare(config, names, course, args.warmup, args.seconds, args.profile)


def _with_corpus(config, args: argparse.Namespace, scratch: Path):
    """The config with the corpus to run over."""
    from pretrain.data.sources import open_checked

    path = args.corpus or config.corpus.path
    if args.corpus is None and (path is None or args.length or not Path(path).exists()):
        path = str(scratch / "corpus")
        _make_up_corpus(Path(path), max(4096, args.sequences), args.length)
    open_checked(path)
    return config.model_copy(update={"corpus": config.corpus.model_copy(update={"path": path})})


def _make_up_corpus(folder: Path, count: int, length: int | None) -> None:
    from data_prep.corpus import SequenceWriter
    from data_prep.corpus.tally import Tally
    from pretrain.benchmarking.synthetic import draw_lengths, random_letters

    lengths = draw_lengths(count, length)
    letters = random_letters(int(lengths.sum()))
    ends = lengths.cumsum().tolist()
    rows = [letters[end - size : end] for end, size in zip(ends, lengths.tolist(), strict=True)]
    with SequenceWriter(folder, stage="benchmark", parameters={"count": count, "length": length}) as writer:
        writer.append("train", [str(number) for number in range(count)], rows)
        writer.append("validation", ["0"], rows[:1])
        writer.finish(Tally())
