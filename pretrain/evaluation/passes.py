"""Forward passes of a trained model over sequences, in batches that fit, in the given order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch

from pretrain.batches.plan import Bounds, cut
from pretrain.evaluation.model import TrainedModel
from pretrain.models import PackedBatch, architecture_of, side_inputs_of

_TOKENS = 8192  # of one batch
_PAIR_CELLS = 1 << 22  # of one batch of a pairing model, whose scores take 4 bytes per cell and head


@dataclass(frozen=True)
class Query:
    """One question: with some tokens hidden, what is at ``read``?

    Attributes:
        ids: int32 (T,), the whole sequence as it is.
        hidden: int64 (K,), positions shown as the mask token.
    """

    ids: np.ndarray
    hidden: np.ndarray
    read: int


def log_probabilities(model: TrainedModel, queries: Iterable[Query]) -> Iterator[np.ndarray]:
    """Yield natural logarithms float32 (V,) at the ``read`` token of each query, in their order."""
    model.require_output_head()
    for group in _groups(model, queries):
        lengths = [len(query.ids) for query in group]
        starts = np.cumsum([0, *lengths[:-1]])
        hidden = np.concatenate([query.hidden + start for query, start in zip(group, starts, strict=True)])
        batch = pack(model, np.concatenate([query.ids for query in group]), lengths, hidden)
        read = torch.tensor([query.read + int(start) for query, start in zip(group, starts, strict=True)])
        with torch.no_grad():
            states = model.network.encoder(batch).hidden
            logits = model.network.logits(states[read.to(model.device)])
        yield from logits.float().log_softmax(dim=-1).cpu().numpy()


def pack(model: TrainedModel, ids: np.ndarray, lengths: list[int], hidden: np.ndarray | None = None) -> PackedBatch:
    """Pack flat ids (N,) of sequences of these lengths as a batch on the model's device.

    Hidden positions are marked as in pretraining: a pairing model sees -1 in their rows and columns
    (recipes/ernie_rna.md#pairing).
    """
    shown = ids.astype(np.int64)
    if hidden is not None:
        shown[hidden] = model.tokenizer.mask_id
    side_inputs = side_inputs_of(model.settings, model.tokenizer.vocab)
    side = {name: torch.from_numpy(fill(ids, hidden)) for name, fill in side_inputs.items()}
    return PackedBatch.pack(torch.from_numpy(shown), lengths, side=side).to(model.device)


def batches_of(model: TrainedModel, lengths: np.ndarray) -> list[int]:
    """Divide sequences of these token counts (S,) into batches: the number of consecutive sequences in each."""
    return cut(
        lengths,
        Bounds(_TOKENS, None, _PAIR_CELLS if architecture_of(model.settings).keeps_pairs(model.settings) else None),
    )


def _groups(model: TrainedModel, queries: Iterable[Query]) -> Iterator[list[Query]]:
    """Consecutive queries that are run together. As many are looked at ahead as fit one batch at most."""
    waiting, tokens = [], 0
    for query in chain(queries, [None]):
        if query is not None:
            waiting.append(query)
            tokens += len(query.ids)
        if waiting and (query is None or tokens >= _TOKENS):
            start = 0
            for count in batches_of(model, np.array([len(one.ids) for one in waiting])):
                yield waiting[start : start + count]
                start += count
            waiting, tokens = [], 0
