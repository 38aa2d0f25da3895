"""The tables of the comparison of Muon with AdamW (docs/proof.md), from the runs of ``launch/proof.sh muon``.

    python -m pretrain.reporting.muon FOLDER                    the tables, as Markdown
    python -m pretrain.reporting.muon FOLDER OPTIMIZER SIZE     the best rate of the tries, for the script

The run folders are in FOLDER, with their size (layers x width) as second word: ``adamw-2x64-0.003-seed1``. A try has
seed 0 and only chooses a rate; the runs that are compared have other seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from pretrain.errors import PolymeraseError
from pretrain.runs.history import read_run

OPTIMIZERS = ("adamw", "muon")
_TRY = 0  # the seed of tries
Losses = dict[tuple[str, str], dict[tuple[float, int], float]]  # of (size, optimizer): held-out loss by (rate, seed)


def losses_of(folder: Path) -> Losses:
    """Held-out losses at hidden positions after the last step (nats), of finished runs.

    Raises:
        PolymeraseError: there are none.
    """
    found: Losses = {}
    for path in sorted(folder.glob("*-*/DONE")):
        run = read_run(path.parent)
        loss = run.last("validation/mlm/hidden/loss")
        if loss is not None:
            settings, size = run.config.optimizer, path.parent.name.split("-")[1]
            found.setdefault((size, settings.name), {})[settings.lr, run.config.run.seed] = loss
    if not found:
        raise PolymeraseError(f"{folder}: expected finished runs in it, got none; run launch/proof.sh muon")
    return found


def best_rate(losses: Losses, optimizer: str, size: str) -> float:
    """The rate of the try with the lowest held-out loss.

    Raises:
        PolymeraseError: nothing was tried.
    """
    tries = [(loss, rate) for (rate, seed), loss in losses.get((size, optimizer), {}).items() if seed == _TRY]
    if not tries:
        raise PolymeraseError(f"{optimizer} {size}: expected runs of seed {_TRY}, got none; run launch/proof.sh muon")
    return min(tries)[1]


def tried(losses: Losses) -> Iterator[tuple[str, ...]]:
    """Header and a row for each size and optimizer: the held-out loss of each rate."""
    rates = sorted({rate for runs in losses.values() for rate, seed in runs if seed == _TRY})
    yield ("size", "optimizer", *(f"{rate:g}" for rate in rates))
    for (size, optimizer), runs in sorted(losses.items()):
        best = best_rate(losses, optimizer, size)
        cells = [f"{runs[rate, _TRY]:.4f}" if (rate, _TRY) in runs else "" for rate in rates]
        yield (
            size,
            optimizer,
            *(f"**{cell}**" if rate == best else cell for rate, cell in zip(rates, cells, strict=True)),
        )


def compared(losses: Losses) -> Iterator[tuple[str, ...]]:
    """Header and a row for each size: mean and standard error over seeds at the best rates, and of the differences.

    Both optimizers see the same batches with the same seed, so differences are taken seed by seed. A difference counts
    where zero lies outside its 95 % interval by Student's t.
    """
    yield ("size", *OPTIMIZERS, "difference", "seeds")
    for size in sorted({size for size, _ in losses}):
        best = {name: best_rate(losses, name, size) for name in OPTIMIZERS}
        seeds = [
            {seed for rate, seed in losses[size, name] if seed != _TRY and rate == best[name]} for name in OPTIMIZERS
        ]
        both = sorted(set.intersection(*seeds))
        if len(both) < 2:
            continue
        one, other = (np.array([losses[size, name][best[name], seed] for seed in both]) for name in OPTIMIZERS)
        cells = [f"{_with_error(x)} at {best[name]:g}" for x, name in zip((one, other), OPTIMIZERS, strict=True)]
        yield (size, *cells, f"{_with_error(other - one, sign='+')}, {_verdict(other - one)}", str(len(both)))


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _with_error(values: np.ndarray, sign: str = "") -> str:
    return f"{values.mean():{sign}.4f} ± {_standard_error(values):.4f}"


def _verdict(differences: np.ndarray) -> str:
    mean, bound = differences.mean(), student.ppf(0.975, len(differences) - 1) * _standard_error(differences)
    return "muon better" if mean < -bound else "muon worse" if mean > bound else "no different"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables or a rate; exit status 0, or 2 where runs are missing."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if len(words) not in (1, 3):
        print("error: expected a folder of runs: python -m pretrain.reporting.muon FOLDER", file=sys.stderr)
        return 2
    try:
        losses = losses_of(Path(words[0]))
        if len(words) == 3:
            print(f"{best_rate(losses, words[1], words[2]):g}")
            return 0
        tables = [list(tried(losses)), list(compared(losses))]
    except PolymeraseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for header, *rows in tables:
        for row in (header, ("---",) * len(header), *rows):
            print("| " + " | ".join(row) + " |")
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
