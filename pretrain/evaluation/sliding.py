"""Sequences longer than a model reads, in windows that overlap: each nucleotide is answered for by one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from data_prep.corpus import Ragged
from pretrain.data.ragged import slices, take
from pretrain.errors import PolymeraseError
from pretrain.evaluation.model import TrainedModel
from pretrain.tokenizers import Measured

Owner = Literal["middle", "first"]


@dataclass(frozen=True)
class Windows:
    """W windows in the order of S sequences.

    Attributes:
        sequences: letters of the windows, W rows.
        row: int64 (W,), the sequence of each.
        first: int64 (W,), the first nucleotide of the window, counted within it, that it answers for.
        stop: int64 (W,), one behind the last one.
    """

    sequences: Ragged
    row: np.ndarray
    first: np.ndarray
    stop: np.ndarray


def sliding_windows(
    model: TrainedModel, sequences: Ragged, width: int | None = None, step: int | None = None, owner: Owner = "middle"
) -> Windows:
    """Windows over each sequence; one that fits is one window.

    Args:
        model: that is to read them.
        sequences: S rows of any length.
        width: nucleotides of a window; None: what the model holds.
        step: nucleotides from one window to the next; None: half of ``width``.
        owner: which window answers for a nucleotide that several show: the one in whose middle it lies best, or the
            first one (a causal model has then read as much before it as it can).

    Raises:
        PolymeraseError: windows that the model does not read, or that leave tokens out between them.
    """
    tokenizer = model.tokenizer
    holds, k = tokenizer.max_nucleotides(model.max_tokens), tokenizer.nucleotides_per_token
    every = 1 if isinstance(tokenizer.lengths, Measured) else tokenizer.lengths.stride  # windows begin with a token
    width = (width or holds) // every * every
    if not tokenizer.min_nucleotides <= width <= holds:
        raise PolymeraseError(f"window of {width} nt: the model reads {tokenizer.min_nucleotides} to {holds} nt")
    overlap = 0 if every == k else 2 * (k - 1)  # so that a token of k letters lies whole in the window that has it
    step = max(every, (step or min(max(width // 2, 1), width - overlap)) // every * every)
    if step > width - overlap:
        raise PolymeraseError(
            f"steps of {step} nt skip tokens between windows of {width} nt; expected at most {width - overlap}"
        )
    lengths = sequences.lengths
    more = np.maximum(-(-(lengths - width) // step), 0)  # windows behind the first one
    row = np.repeat(np.arange(len(lengths)), more + 1)
    number = np.arange(len(row)) - np.repeat(np.cumsum(more + 1) - more - 1, more + 1)
    latest = np.maximum(-(-(lengths - width) // every) * every, 0)  # the last window ends with its sequence
    start = np.minimum(number * step, latest[row])
    stop = np.minimum(start + width, lengths[row])
    same = row[1:] == row[:-1]
    handover = stop[:-1] if owner == "first" else (start[1:] + stop[:-1]) // 2
    own_first, own_stop = np.zeros(len(row), np.int64), lengths[row].copy()
    own_first[1:][same], own_stop[:-1][same] = handover[same], handover[same]
    return Windows(slices(take(sequences, row), start, stop - start), row, own_first - start, own_stop - start)


def letters_and_windows(sequences: Ragged | Windows) -> tuple[Ragged, Windows | None]:
    """What a model is to read, and the windows where they are some."""
    return (sequences.sequences, sequences) if isinstance(sequences, Windows) else (sequences, None)
