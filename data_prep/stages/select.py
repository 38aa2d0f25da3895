"""Take a part of a corpus: rows by what a column says, one member of every cluster, or one split; all columns stay.

`--keep COLUMN=VALUE,VALUE` keeps the rows whose value is named, `--keep COLUMN=@FILE` those that stand in a file, one a
line (what follows a # is a comment). `--representatives COLUMN` keeps the longest row of each value, the first of
equally long ones: with the column `cluster` of `split --by similarity` no two rows of the result are close relatives.
Rows stay in the split they were in; with `--split train` the others are left out, so that `split` can divide anew.

example:
  python -m data_prep select corpora/rfam --out corpora/trna --keep source=RF00005
  python -m data_prep select corpora/clustered --out corpora/distinct --representatives cluster
"""

import argparse
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.corpus import Corpus, SequenceWriter, describe_source, open_corpus
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError
from data_prep.formats.text import numbered_lines
from data_prep.runtime.console import add_output_arguments, already_complete, progress, report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the stage."""
    parser.add_argument("corpus", metavar="CORPUS", help="a corpus of sequences")
    add_output_arguments(parser)
    parser.add_argument(
        "--keep", action="append", default=[], metavar="COLUMN=VALUES",
        help="rows whose value is one of VALUES (with commas between, or @FILE); may be given several times",
    )  # fmt: skip
    parser.add_argument("--representatives", metavar="COLUMN", help="the longest row of each value of a column")
    parser.add_argument("--split", choices=("train", "validation"), help="rows of this split only, as training rows")


def run(args: argparse.Namespace) -> int:
    """Build the corpus; return the exit status."""
    corpus = open_corpus(args.corpus)
    if corpus.kind != "sequences":
        raise DataPrepError(
            f"{args.corpus}: a corpus of {corpus.kind}; only rows of a corpus of sequences are selected"
        )
    if not (args.keep or args.representatives or args.split):
        raise DataPrepError("nothing is selected: expected --keep, --representatives or --split; give one")
    wanted = [_wanted(text, corpus) for text in args.keep]
    named = [column for column, _, _ in wanted]
    if again := [column for number, column in enumerate(named) if column in named[:number]]:
        raise DataPrepError(f"--keep names {again[0]} twice, and a row has one value; give the values with commas")
    if args.representatives:
        _check_column(args.representatives, "--representatives", corpus)
    parameters: dict[str, Any] = {
        "keep": [{column: describe_source(file) if file else sorted(values)} for column, values, file in wanted],
        "representatives": args.representatives,
        "split": args.split,
    }
    with SequenceWriter(
        args.out, stage="select", parameters=parameters, columns=list(corpus.manifest["columns"]),
        alphabet=corpus.manifest["alphabet"], parent=corpus, overwrite=args.overwrite,
    ) as writer:  # fmt: skip
        if writer.complete:
            return already_complete(writer.out)
        tally = Tally()
        splits = [args.split] if args.split else list(corpus.splits)
        chosen = [[_named(batch, wanted) for batch in corpus.split(split).batches()] for split in splits]
        _check_found(wanted, corpus, splits)
        if args.representatives:
            _thin(corpus, splits, args.representatives, chosen)
        for split, masks in zip(splits, chosen, strict=True):
            batches = corpus.split(split).batches()
            for batch, mask in zip(progress(batches, description=split, unit="shard"), masks, strict=True):
                tally.keep("select", int(mask.sum()))
                tally.drop("select", "not_selected", int((~mask).sum()))
                writer.append_batch("train" if args.split else split, batch.filter(pa.array(mask)))
        report(writer.finish(tally), writer.out)
    return 0


Wanted = tuple[str, frozenset[str], str | None]  # a column, its values, the file that names them


def _wanted(text: str, corpus: Corpus) -> Wanted:
    column, equals, values = text.partition("=")
    if not equals or not values:
        raise DataPrepError(f"--keep {text}: expected COLUMN=VALUE,VALUE or COLUMN=@FILE; write it so")
    _check_column(column, "--keep", corpus)
    if not values.startswith("@"):
        return column, frozenset(values.split(",")), None
    try:
        lines = [line.decode() for _, line in numbered_lines(values[1:])]
    except UnicodeDecodeError:
        raise DataPrepError(
            f"--keep {text}: {values[1:]} is not UTF-8 text; convert the file (iconv -t utf-8)"
        ) from None
    named = frozenset(line.partition("#")[0].strip() for line in lines) - {""}
    if not named:
        raise DataPrepError(f"--keep {text}: {values[1:]} names no value, expected one a line; fill it")
    return column, named, values[1:]


def _check_column(column: str, option: str, corpus: Corpus) -> None:
    columns = list(corpus.manifest["columns"])
    if column not in columns:
        raise DataPrepError(f"{option}: no column {column!r}; expected one of {', '.join(columns)}; give one of them")


def _named(batch: pa.RecordBatch, wanted: list[Wanted]) -> np.ndarray:
    """Return the mask bool (R,) of the rows that every --keep names."""
    mask = np.ones(len(batch), bool)
    for column, values, _ in wanted:
        text = batch.column(column).cast(pa.string())
        mask &= pc.is_in(text, value_set=pa.array(sorted(values), pa.string())).to_numpy(zero_copy_only=False)
    return mask


def _check_found(wanted: list[Wanted], corpus: Corpus, splits: list[str]) -> None:
    for column, values, _ in wanted:
        present: set[str] = set()
        for split in splits:
            for batch in corpus.split(split).batches():
                present.update(pc.unique(batch.column(column).cast(pa.string())).to_pylist())
        missing = sorted(values - present)
        if missing:
            raise DataPrepError(
                f"--keep {column}: {len(missing)} of {len(values)} values stand in no row, first {missing[0]!r}; "
                "take them out"
            )


def _thin(corpus: Corpus, splits: list[str], column: str, chosen: list[list[np.ndarray]]) -> None:
    """Leave, of the rows chosen, the longest of each value; a row without value is alone."""
    best: dict[str, tuple[int, int, int, int]] = {}
    for s, split in enumerate(splits):
        for b, batch in enumerate(corpus.split(split).batches()):
            names, lengths = batch.column(column).to_pylist(), batch.column("length").to_pylist()
            for row in np.flatnonzero(chosen[s][b]).tolist():
                if names[row] is None:
                    continue
                chosen[s][b][row] = False
                key = str(names[row])
                if key not in best or lengths[row] > best[key][0]:
                    best[key] = (lengths[row], s, b, row)
    for _, s, b, row in best.values():
        chosen[s][b][row] = True
