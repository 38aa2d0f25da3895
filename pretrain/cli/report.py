"""python launch/report.py RUN: one HTML page about a run or several, and its plots as PNG, SVG and numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep.errors import DataPrepError
from pretrain.cli.command import Parser, as_json, command, program
from pretrain.errors import PolymeraseError

EXAMPLE = """examples:
  python launch/report.py runs/mine
  python launch/report.py runs/mine --out mine.html --json
  python launch/report.py runs/a runs/b runs/c --out abc.html     curves in one plot, and differences

The page is self-contained. Baselines are those that the run measured at its evaluations.

exit status: 0 written, 2 wrong input
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog=program("report"),
        description="Write a one-page report of a run: curves, baselines, corpus, differences from the recipe.",
        epilog=EXAMPLE,
    )
    result.add_argument("run_dir", nargs="+", metavar="RUN", help="run folder, finished or not; several are compared")
    result.add_argument(
        "--out",
        metavar="FILE.html",
        help="default: RUN/report.html; for several runs, comparison.html next to the first",
    )
    result.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Write; the exit status is in the help."""
    args = parser().parse_args(arguments)
    from pretrain.reporting.report import verdicts, write_report
    from pretrain.runs.history import read_run
    from pretrain.runs.provenance import describe_environment

    run, *others = [read_run(Path(folder)) for folder in args.run_dir]
    out = Path(args.out or (run.folder.parent / "comparison.html" if others else run.folder / "report.html"))
    if out.suffix != ".html":
        raise PolymeraseError(f"--out {out}: expected an .html file")
    if others:
        return _compare([run, *others], out, args.json)
    figures = write_report(run, _corpora(run), describe_environment(), out)
    _add_to_mlflow(run, out)
    if args.json:
        print(as_json(figures))
    else:
        print("\n".join([*(text for text, _ in verdicts(figures)), f"wrote {out}"]))
    return 0


def _compare(runs: list[Any], out: Path, as_object: bool) -> int:
    """Several runs on one page."""
    from pretrain.reporting.overlay import write_comparison

    found = write_comparison(runs, out)
    if as_object:
        print(as_json(found))
        return 0
    for row in found["reached"]:
        loss, best = ("-" if row[key] is None else f"{row[key]:.4f}" for key in ("held-out loss", "best baseline"))
        print(f"{row['run']}, step {row['step']}: {row['objective']} {loss} (best baseline {best})")
    print(f"differ in {', '.join(found['differing_keys']) or 'nothing but places of files'}")
    print(f"wrote {out}")
    return 0


def _add_to_mlflow(run: Any, page: Path) -> None:
    """The page beside the run's other artifacts, where the run is tracked."""
    from pretrain.runs.checkpoint import Checkpoints, read_state
    from pretrain.runs.tracking import Tracker, tracked_run

    checkpoints = Checkpoints(run.folder)
    steps = checkpoints.steps()
    told = read_state(checkpoints.path(steps[-1])).get("tracking_run") if steps else None
    if (run_id := tracked_run(run.folder, told)) is not None:
        tracker = Tracker(run.config.tracking, run.folder, run_id, running=False)
        tracker.artifact(page, "report")
        tracker.flush()


def _corpora(run: Any) -> list[Any]:
    """Statistics, filters, sources and pictures of each corpus of the run that is still at its place."""
    from data_prep.corpus import open_corpus
    from data_prep.inspection.describe import describe
    from data_prep.inspection.plots import plots_of
    from data_prep.inspection.table import filters_of, rows_of
    from pretrain.reporting.report import CorpusSection

    found = []
    for path in (run.config.corpus.path, *(extra.path for extra in run.config.corpus.extra)):
        try:
            corpus = open_corpus(path)
            description, pictures = describe(corpus), plots_of(corpus)
        except DataPrepError as error:
            print(f"note: {error}", file=sys.stderr)
            continue
        title = f"Corpus {path}, fingerprint {description['fingerprint'][:16]}"
        sources = [["source", "bytes", "sha256"]]
        for source in description["sources"]:
            name = source.get("url") or source.get("name", "?")
            sources.append([name, f"{source.get('bytes', 0):,}", source.get("sha256", "")[:16]])
        tables = [rows_of(description), filters_of(description), sources]
        named = {f"{Path(path).name}-{name}": content for name, content in pictures.items()}
        found.append(CorpusSection(title, tables, named))
    return found
