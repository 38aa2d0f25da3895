"""python launch/export.py RUN_DIR --out HF_DIR: a checkpoint of a run, or an adapter, as a verified HF folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data_prep.errors import DataPrepError
from pretrain.cli.command import Parser, command, program
from pretrain.errors import PolymeraseError

EXAMPLE = """examples:
  python launch/export.py runs/ernie --out exports/ernie
  python launch/export.py runs/ernie --step 20000 --out exports/ernie-20k --license apache-2.0
  python launch/export.py adapters/splice --out exports/ernie-splice
  python launch/export.py runs/hyenadna --layout release --out exports/hyenadna-hf

exit status: 0 written and verified, 2 wrong input or a folder that failed its verification
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog=program("export"),
        description="Export a checkpoint of a run to a Hugging Face folder that stock transformers loads.",
        epilog=EXAMPLE,
    )
    result.add_argument("run_dir", metavar="RUN_DIR", help="run folder, or folder of a PEFT adapter")
    result.add_argument(
        "--step", type=int, metavar="N",
        help="checkpoint to export (default: the newest complete one; for a run that stopped early, the best)",
    )  # fmt: skip
    result.add_argument("--out", required=True, metavar="HF_DIR", help="folder to write; must not exist or be empty")
    result.add_argument(
        "--kind", choices=("mlm", "encoder"), default="mlm", help="with output head (default), or only the base class"
    )
    result.add_argument(
        "--layout", choices=("ours", "release"), default="ours",
        help="release: tensors and config.json under the names of the published folders, without code, for programs "
        "that read those (HyenaDNA; default: ours)",
    )  # fmt: skip
    result.add_argument("--license", default="unknown", metavar="ID", help="license id for the card (default: unknown)")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Export; the exit status is in the help."""
    args = parser().parse_args(arguments)
    if args.layout == "release" and args.kind == "encoder":
        raise PolymeraseError("--layout release writes the whole model: leave out --kind encoder")
    if (Path(args.run_dir) / "adapter_config.json").is_file():
        _export_adapter(args)
    else:
        _export(args)
    return 0


def _export(args: argparse.Namespace) -> None:
    from pretrain.config import load_config
    from pretrain.config.model_choice import family_of
    from pretrain.exporting import CardFacts, export_model
    from pretrain.exporting.new_folder import refuse_existing
    from pretrain.exporting.notes import source_rows
    from pretrain.exporting.release_layout import write_release
    from pretrain.objectives import OBJECTIVES
    from pretrain.reporting.recipe_diff import differences, plain
    from pretrain.runs.checkpoint import WEIGHTS, best_step, find_checkpoint, read_state, read_tensors
    from pretrain.training.compatibility import settings_of_checkpoint

    run_dir = Path(args.run_dir)
    if not (run_dir / "config.yaml").is_file():
        raise PolymeraseError(f"{run_dir}: expected a run folder, found no config.yaml")
    refuse_existing(Path(args.out))
    config = load_config(str(run_dir / "config.yaml"))
    step = args.step if args.step is not None else best_step(run_dir)
    if step != args.step:
        print(f"the run stopped early: taking its best evaluation, step {step:,} (--step N takes another)", flush=True)
    checkpoint = find_checkpoint(run_dir, step)
    state, about = read_tensors(checkpoint, WEIGHTS), read_state(checkpoint)
    settings = settings_of_checkpoint(config, about["identity"])
    family = family_of(config.model, settings)
    notes = list(family.notes)
    for name, section in config.objectives.active().items():
        notes += OBJECTIVES[name].card_notes(section, about)
    course = _course(run_dir, about["step"])
    facts = CardFacts(
        origin=f"Trained by the run {run_dir.resolve().name}, step {about['step']:,}.",
        license=args.license,
        table={
            "step": about["step"],
            "objectives": ", ".join(config.objectives.active()),
            **course.table,
        },
        notes=tuple(notes),
        corpora=_before(config) | about["identity"]["corpus"],
        sources=source_rows(_sources(config)),
        held_out=course.held_out,
        differences=tuple((d.key, plain(d.published), plain(d.here)) for d in differences(config)),
    )
    if args.layout == "release":
        print(write_release(state, family, settings, Path(args.out), facts.origin, args.license))
        return
    print("writing, and loading the result with transformers in a fresh process", flush=True)
    print(export_model(state, family, settings, Path(args.out), facts, args.kind))
    _note_where_tracked(config, run_dir, about.get("tracking_run"), Path(args.out))


def _export_adapter(args: argparse.Namespace) -> None:
    """The base model with the adapter in its weights; the base's license and training are on its own card."""
    from pretrain.exporting import CardFacts, export_model
    from pretrain.exporting.new_folder import refuse_existing
    from pretrain.importing import load_pretrained_state
    from pretrain.importing.adapter import base_of

    adapter = Path(args.run_dir)
    if args.layout == "release":
        raise PolymeraseError(f"{adapter}: an adapter is exported under our names only; leave out --layout release")
    if args.step is not None:
        raise PolymeraseError(f"{adapter}: expected a run folder for --step {args.step}, got an adapter; leave it out")
    refuse_existing(Path(args.out))
    family, settings, state = load_pretrained_state(adapter)
    origin = f"The model {base_of(adapter).resolve().name} with the LoRA adapter {adapter.resolve().name} merged in."
    facts = CardFacts(origin, license=args.license, notes=tuple(family.notes))
    has_head = any(name.startswith("mlm_head.") for name in state)
    print("writing, and loading the result with transformers in a fresh process", flush=True)
    print(export_model(state, family, settings, Path(args.out), facts, args.kind if has_head else "encoder"))


def _note_where_tracked(config: Any, run_dir: Path, run_id: str | None, out: Path) -> None:
    """The run's page, where it is tracked, names the exported model and holds its card."""
    from pretrain.runs.tracking import EXPORTED, Tracker, tracked_run

    if (run_id := tracked_run(run_dir, run_id)) is not None:
        tracker = Tracker(config.tracking, run_dir, run_id, running=False)
        tracker.tag(EXPORTED, str(out.resolve()))
        tracker.artifact(out / "README.md", "export")
        tracker.flush()


class Course(NamedTuple):
    """What the card says of the training. held_out: (corpus, metric, value)."""

    table: dict[str, Any]
    held_out: tuple[tuple[str, str, float], ...]


def _course(run_dir: Path, step: int) -> Course:
    """The course of a run up to a step, as far as its records tell."""
    from pretrain.baselines.words import PARTS
    from pretrain.runs.history import read_run

    try:
        run = read_run(run_dir).until(step)
    except PolymeraseError:  # a run that logged nothing
        return Course({}, ())
    corpus = Path(str(run.config.corpus.path)).name
    evaluated = [line for line in run.numbers if any(name.startswith("validation/") for name in line)]
    held_out = {name: value for name, value in (evaluated or [{}])[-1].items() if name.startswith("validation/")}
    table: dict[str, Any] = {}
    if tokens := run.total("tokens_per_step"):
        table["tokens read"] = f"{tokens:,.0f}"
    for name in run.names_ending("/target_fraction"):
        table[f"tokens that were targets of {name.partition('/')[0]}"] = f"{run.series(name)[1].mean():.2%}"
    if held_out:
        table["held-out figures of step"] = int(evaluated[-1]["step"])
        table |= _held_out_rows(run.held_out.get("objectives", {}), held_out)
    versions = {
        name: run.environment[name] for name in ("python", "torch", "deepspeed", "gpus") if name in run.environment
    }
    if versions:
        table["trained with"] = ", ".join(f"{name} {value}" for name, value in versions.items())
    figures = {name.removeprefix("validation/"): value for name, value in held_out.items()}
    parts = {"", *(f"/{part}" for part in PARTS)}
    whole = {
        name: value
        for name, value in figures.items()  # not by masking strategy, not by corpus
        if name.rpartition("/")[0].removeprefix(name.partition("/")[0]) in parts and "baseline" not in name
    }
    return Course(table, tuple((corpus, name, value) for name, value in whole.items()))


def _held_out_rows(measured: dict[str, Any], held_out: dict[str, float]) -> dict[str, str]:
    """Held-out figures in words, beside the best baseline; the bare numbers where a run kept no more."""
    from pretrain.baselines.words import PARTS, clause

    rows = {
        f"held-out {name}{'' if part == 'all' else f', {part}'}": clause(name, part, one[part])
        for name, one in measured.items()
        for part in PARTS
        if "loss" in (one.get(part) or {})
    }
    return rows or {name: f"{value:.4f}" for name, value in held_out.items()}


def _before(config: Any) -> dict[str, str]:
    """Corpora that the weights the run began with were trained on, as far as these are still there and say so."""
    from pretrain.importing.source import stated_corpora

    try:
        return (stated_corpora(Path(config.model.init_from)) if config.model.init_from else None) or {}
    except PolymeraseError:
        return {}


def _sources(config: Any) -> dict[str, list[dict[str, Any]]]:
    """Sources of each corpus of the run that is still at its place."""
    from data_prep.corpus import open_corpus

    found = {}
    for path in filter(None, (config.corpus.path, *(extra.path for extra in config.corpus.extra))):
        try:
            found[Path(path).name] = open_corpus(path).manifest["sources"]
        except DataPrepError as error:
            print(f"note: the card names no sources: {error}", file=sys.stderr)
    return found
