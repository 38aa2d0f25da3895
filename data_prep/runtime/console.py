"""Options and messages that stages share."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from data_prep.errors import DataPrepError

# What an option was called in some stage -> what it is called in all of them, with its value where that is new too.
OLD_OPTIONS = {
    "--min-len": "--min-length",
    "--min-nt": "--min-length",
    "--max-len": "--max-length",
    "--max-nt": "--max-length",
    "--val-fraction": "--validation",
    "--max-other-fraction": "--max-ambiguous",
    "--no-dedup": "--duplicates keep",
}


def refuse_old_options(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """An option of `arguments` under its old name is an error that says the new one.

    A stage takes part as soon as it declares the new name and no longer the old one.
    """
    known = parser._option_string_actions
    for word in arguments:
        old = word.partition("=")[0]
        new = OLD_OPTIONS.get(old)
        if new and old not in known and new.split()[0] in known:
            raise DataPrepError(f"{old} is now called {new} in every stage; use that")


def refuse_idle(args: argparse.Namespace, defaults: Mapping[str, Any], needs: str) -> None:
    """DataPrepError for an option that was given (it is not its default) although it has no effect without `needs`."""
    for name, default in defaults.items():
        if getattr(args, name) != default:
            option = f"--{name.replace('_', '-')}"
            raise DataPrepError(f"{option} has no effect without {needs}; add that, or leave {option} out")


def refuse_beside(args: argparse.Namespace, name: str, winner: str) -> None:
    """DataPrepError for an option that was given although `winner`, given too, decides alone."""
    if getattr(args, name) not in (None, False):
        option = f"--{name.replace('_', '-')}"
        raise DataPrepError(f"{option} has no effect with {winner}; leave one of them out")


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """--out and --overwrite of every stage that writes a corpus."""
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the new corpus")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing corpus at --out")


def add_name_arguments(parser: Any) -> None:
    """--match-chr and --contig-aliases of every stage that meets contig names of two files."""
    parser.add_argument(
        "--match-chr",
        action="store_true",
        help="treat chr1 and 1, chrM and MT as the same contig; exact names take precedence",
    )
    parser.add_argument(
        "--contig-aliases", metavar="TABLE",
        help="names of one contig: an NCBI assembly report, UCSC's chromAlias.txt, or a table with tabs",
    )  # fmt: skip


def progress(iterable: Any = None, *, description: str, total: int | None = None, unit: str = "it") -> Any:
    """A tqdm bar on terminals; elsewhere silent, an iterable as it is."""
    if iterable is not None and not sys.stderr.isatty():
        return iterable
    from tqdm import tqdm

    scale = unit == "B"
    return tqdm(iterable, desc=description, total=total, unit=unit, unit_scale=scale, disable=not sys.stderr.isatty())


def already_complete(out: Any) -> int:
    """Say that a rerun finds its corpus finished; exit status 0."""
    print(f"{out} is already complete; nothing to do")
    return 0


def report(manifest: dict[str, Any], out: Any) -> None:
    """The lines a stage ends with: what was kept, what was changed, what was dropped and why."""
    for name, split in manifest["splits"].items():
        if "sequences" in split:
            print(f"{name}: {split['sequences']:,} sequences, {split['nucleotides']:,} nt")
        parameters = manifest["stages"][-1].get("parameters", {})
        if not split.get("sequences", split.get("bases")) and (
            parameters.get("validation", True) or name != "validation"
        ):
            way = "see --validation" if "validation" in parameters else "make one with the stage split"
            warn(f"the split {name} is empty: no run on this corpus can be judged by it; {way}")
    print_filters(manifest["stages"][-1].get("filters", []))
    print(f"wrote {out} (fingerprint {manifest['fingerprint'][:16]})")


def print_filters(filters: Sequence[dict[str, Any]]) -> None:
    """A line for each filter of a `Tally`, in the words of the manifest."""
    for entry in filters:
        changed = [f"{what} {count:,}" for what, count in entry.get("changed", {}).items() if count]
        dropped = [f"{reason} {count:,}" for reason, count in entry["dropped"].items()]
        said = [f"kept {entry['kept']:,}"]
        said += [f"changed {', '.join(changed)}"] if changed else []
        said += [f"dropped {', '.join(dropped) or 'none'}"] if dropped or not changed else []
        print(f"filter {entry['filter']}: {', '.join(said)}")


def warn(message: str) -> None:
    """One line on standard error; the work goes on."""
    print(f"warning: {message}", file=sys.stderr)
