"""Length limits of a model: what is too long or too short is an error, cut, or left out and counted.

Cutting into windows (``windows``) is done by the caller, so nothing is too long.
"""

from __future__ import annotations

from typing import Literal, cast

import numpy as np

from data_prep.corpus import Ragged
from pretrain.data.ragged import slices, take
from pretrain.errors import PolymeraseError
from pretrain.evaluation.model import TrainedModel
from pretrain.tokenizers import Measured
from pretrain.tokenizers.batch import CountsTokens

TooLong = Literal["error", "crop", "skip", "windows"]


def fit(
    model: TrainedModel, source: str, ids: list[str], sequences: Ragged, too_long: TooLong
) -> tuple[list[str], Ragged, dict[str, int]]:
    """Return ids and sequences that fit, and how many did not, by reason. ``crop`` keeps the first nucleotides.

    Letters at the end that no token reads (of a partial codon) are cut, so that no figure counts them.
    """
    longest, shortest = model.tokenizer.max_nucleotides(model.max_tokens), model.tokenizer.min_nucleotides
    lengths = sequences.lengths
    long, short = (lengths > longest) & (too_long != "windows"), lengths < shortest
    if isinstance(model.tokenizer.lengths, Measured):  # longer ones may fit, too
        long &= cast(CountsTokens, model.tokenizer).count(sequences) > model.max_tokens
    if long.any() and too_long == "error":
        row = int(np.flatnonzero(long)[0])
        raise PolymeraseError(
            f"{source}: {ids[row]} has {lengths[row]:,} nt, the longest input is {longest:,} ({int(long.sum()):,} "
            "records are longer); give --too-long crop, skip or windows"
        )
    left_out = {
        f"shorter than {shortest} nt": int(short.sum()),
        f"longer than {longest} nt, {'cut' if too_long == 'crop' else 'left out'}": int(long.sum()),
    }
    rows = np.flatnonzero(~short & ~long if too_long == "skip" else ~short)
    if not len(rows):
        reasons = ", ".join(f"{count:,} {why}" for why, count in left_out.items() if count)
        raise PolymeraseError(f"{source}: no record fits the model ({reasons})")
    kept = take(sequences, rows)
    if too_long == "crop":
        stays = np.where(long[rows], np.minimum(kept.lengths, longest), kept.lengths)
        kept = slices(kept, np.zeros(len(rows), np.int64), stays)
    rest = model.tokenizer.lengths.rest(kept.lengths)
    if rest.any():
        kept = slices(kept, np.zeros(len(rows), np.int64), kept.lengths - rest)
        left_out["with last letters that make no whole token, cut"] = int(np.count_nonzero(rest))
    return [ids[row] for row in rows.tolist()], kept, {why: count for why, count in left_out.items() if count}
