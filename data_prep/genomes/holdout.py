"""Which stretches of the genome are validation."""

import argparse
import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import DataPrepError
from data_prep.runtime.console import refuse_beside

HELD_OUT = 0.01  # share of validation, unless it or contigs are asked for


def settle_fraction(args: argparse.Namespace) -> None:
    """The share that is held out where nobody gave one; DataPrepError where contigs were named beside a share."""
    if args.validation_contigs is not None:
        refuse_beside(args, "validation", "--validation-contigs")
    if args.validation is None:
        args.validation = HELD_OUT


def refuse_empty(validation: NDArray[np.int64], fraction: float, contigs: str | None, window: int) -> None:
    """DataPrepError where nothing was held out though nobody asked for that (`--validation 0`)."""
    if len(validation) or (contigs is None and not fraction):
        return
    asked = f"--validation {fraction:g}" if contigs is None else f"--validation-contigs {contigs}"
    raise DataPrepError(
        f"the validation split is empty, so no run on this corpus could be judged: expected a stretch of {window:,} "
        f"bases with {asked}, got none; name contigs with --validation-contigs, lower --window, or ask for none with "
        "--validation 0; nothing written"
    )


def by_contig(
    intervals: NDArray[np.int64], names: Sequence[str], validation: Collection[str]
) -> dict[str, NDArray[np.int64]]:
    """Hold out whole contigs. intervals (K, 3): contig number, start, end; names: of all; validation: of those.

    DataPrepError if nothing is left to train on.
    """
    held_out = np.isin(intervals[:, 0], [number for number, name in enumerate(names) if name in validation])
    if held_out.all():
        raise DataPrepError("--validation-contigs: names every contig, so nothing is left to train on")
    return {"train": intervals[~held_out], "validation": intervals[held_out]}


def last_fraction(intervals: NDArray[np.int64], fraction: float, window: int) -> dict[str, NDArray[np.int64]]:
    """Hold out the end of the genome: the last `fraction` of the bases, one window at least; 0 holds out nothing.

    An interval is cut where that fraction begins, unless a piece became shorter than a window. A genome of a single
    piece that cannot be cut is all training.
    """
    wanted = math.ceil(fraction * int((intervals[:, 2] - intervals[:, 1]).sum()))
    train: list[list[int]] = intervals.tolist()
    validation: list[list[int]] = []
    while wanted > 0 and train:
        contig, start, end = train.pop()
        cut = end - max(wanted, window)
        if cut - start >= window:
            train.append([contig, start, cut])
            start = cut
        validation.insert(0, [contig, start, end])
        wanted -= end - start
    if not train:
        train, validation = intervals.tolist(), []
    return {
        name: np.array(rows, dtype=np.int64).reshape(-1, 3)
        for name, rows in (("train", train), ("validation", validation))
    }
