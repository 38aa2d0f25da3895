"""Options and messages that stages share."""

import argparse
import sys
from typing import Any


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """--out and --overwrite of every stage that writes a corpus."""
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the new corpus")
    parser.add_argument("--overwrite", action="store_true", help="replace a corpus that is already at --out")


def progress(iterable: Any = None, *, description: str, total: int | None = None, unit: str = "it") -> Any:
    """A tqdm bar on terminals, silent elsewhere."""
    from tqdm import tqdm

    scale = unit == "B"
    return tqdm(iterable, desc=description, total=total, unit=unit, unit_scale=scale, disable=not sys.stderr.isatty())


def report(manifest: dict[str, Any], out: Any) -> None:
    """The lines a stage ends with: what was kept, what was dropped and why."""
    for name, split in manifest["splits"].items():
        if "sequences" in split:
            print(f"{name}: {split['sequences']:,} sequences, {split['nucleotides']:,} nt")
    for entry in manifest["stages"][-1].get("filters", []):
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in entry["dropped"].items())
        print(f"filter {entry['filter']}: kept {entry['kept']:,}, dropped {dropped or 'none'}")
    print(f"wrote {out} (fingerprint {manifest['fingerprint'][:16]})")
