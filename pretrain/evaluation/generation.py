"""Samples of a causal model, token by token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.evaluation.causal import is_causal
from pretrain.evaluation.masked_queries import encode_rows
from pretrain.evaluation.model import TrainedModel
from pretrain.models import PackedBatch, architecture_of
from pretrain.models.memory import Memory

_TOKENS = 8192  # of sequences that are drawn together


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        tokens: at most this many are drawn per sequence.
        temperature: logits are divided by it; 0 takes the likeliest token.
        top_k: only the k likeliest tokens; None: all.
        seed: of the draws.
        remember: compute each token once, where the model can; else all of a sequence again for each new token.
    """

    tokens: int
    temperature: float = 1.0
    top_k: int | None = None
    seed: int = 0
    remember: bool = True


def generate(model: TrainedModel, prompt: bytes, count: int, sampling: Sampling) -> Iterator[str]:
    """Draw sequences that begin with a prompt, in letters.

    Special tokens are never drawn, except the one that ends a sequence.

    Raises:
        PolymeraseError: the model is not causal, the prompt has letters that it does not know or that make no whole
            token, or prompt and tokens are too long for it.
    """
    if not is_causal(model):
        raise PolymeraseError(f"{model.source}: sees both sides of a token, so it cannot generate; use a causal model")
    model.require_output_head()
    tokenizer = model.tokenizer
    (head,) = encode_rows(tokenizer, Ragged.from_rows([prompt]))
    _check_prompt(model, prompt, head)
    if tokenizer.eos_id >= 0 and len(head) and head[-1] == tokenizer.eos_id:
        head = head[:-1]
    if not len(head):
        raise PolymeraseError("this model has no token that starts a sequence; give a prompt of at least one letter")
    longest = architecture_of(model.settings).longest_input(model.settings)
    if longest is not None and len(head) + sampling.tokens > longest:
        raise PolymeraseError(
            f"prompt and sample are {len(head) + sampling.tokens} tokens, the longest input is {longest}; reduce one"
        )
    allowed = torch.zeros(model.settings.vocab_size, dtype=torch.bool, device=model.device)
    allowed[: len(tokenizer.vocab)] = True  # a table may have more rows
    allowed[torch.tensor([*tokenizer.special_ids, *([tokenizer.unk_id] if tokenizer.unk_id >= 0 else [])])] = False
    if tokenizer.eos_id >= 0:
        allowed[tokenizer.eos_id] = True
    generator = torch.Generator(model.device).manual_seed(sampling.seed)
    longest_drawn = len(head) + sampling.tokens
    together = max(1, _TOKENS // longest_drawn)
    remember = sampling.remember and architecture_of(model.settings).remembers(model.settings)
    for first in range(0, count, together):
        rows = torch.from_numpy(head.astype(np.int64)).to(model.device).repeat(min(together, count - first), 1)
        reader = _Remembering(model, longest_drawn) if remember else _Anew(model)
        for ids in _draw(reader, rows, tokenizer.eos_id, allowed, sampling, generator):
            yield "".join(tokenizer.vocab[i] for i in ids if i not in tokenizer.special_ids).upper()


def _check_prompt(model: TrainedModel, prompt: bytes, head: np.ndarray) -> None:
    """The sequences would not begin with letters that no token stands for."""
    rest = int(model.tokenizer.lengths.rest(np.array([len(prompt)]))[0]) if prompt else 0
    if rest:
        raise PolymeraseError(
            f"--prompt {prompt.decode()}: its last {rest} letters make no whole token of {model.tokenizer.name}; "
            "complete them or leave them out"
        )
    if model.tokenizer.unk_id >= 0 and (head == model.tokenizer.unk_id).any():
        raise PolymeraseError(
            f"--prompt {prompt.decode()}: {model.tokenizer.name} does not know all of its letters; write A, C, G and "
            "T or U"
        )


class _Anew:
    """Reads whole sequences for each new token: the plain form."""

    def __init__(self, model: TrainedModel) -> None:
        self._network = model.network

    def __call__(self, ids: Tensor) -> Tensor:
        """Return the logits (B, V) behind sequences (B, T)."""
        hidden = self._network.encoder(PackedBatch.pack(ids.flatten(), [ids.shape[1]] * len(ids))).hidden
        return self._network.logits(hidden.view(*ids.shape, -1)[:, -1]).float()

    def keep(self, rows: Tensor) -> None:
        """Know nothing of the rows before."""


class _Remembering:
    """Reads the prompt, which all sequences share, once; then the newest token of each."""

    def __init__(self, model: TrainedModel, longest: int) -> None:
        self._network, self._memory = model.network, Memory(longest)

    def __call__(self, ids: Tensor) -> Tensor:
        """Return the logits (B, V) behind sequences (B, T), all but the newest token of which were read before."""
        new = ids[:, self._memory.tokens :] if self._memory.tokens else ids[:1]
        batch = PackedBatch.pack(new.flatten(), [new.shape[1]] * len(new), memory=self._memory)
        hidden = self._network.encoder(batch).hidden.view(*new.shape, -1)[:, -1]
        if not self._memory.tokens:
            self._memory.take(torch.zeros(len(ids), dtype=torch.int64))
            hidden = hidden.expand(len(ids), -1)
        self._memory.tokens = ids.shape[1]
        return self._network.logits(hidden).float()

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows (B',) only."""
        self._memory.take(rows)


@torch.no_grad()
def _draw(
    read: _Anew | _Remembering,
    rows: Tensor,
    eos_id: int,
    allowed: Tensor,
    sampling: Sampling,
    generator: torch.Generator,
) -> list[list[int]]:
    """Token ids of each row (B, T), lengthened until it ends or is long enough."""
    finished: dict[int, list[int]] = {}
    number = torch.arange(len(rows), device=rows.device)  # of each row that still grows
    for _ in range(sampling.tokens):
        rows = torch.cat([rows, _next(read(rows), allowed, sampling, generator)[:, None]], dim=1)
        ended = rows[:, -1] == eos_id
        if ended.any():
            finished |= dict(zip(number[ended].tolist(), rows[ended].tolist(), strict=True))
            rows, number = rows[~ended], number[~ended]
            if not len(rows):
                break
            read.keep((~ended).nonzero()[:, 0])
    finished |= dict(zip(number.tolist(), rows.tolist(), strict=True))
    return [ids for _, ids in sorted(finished.items())]


def _next(logits: Tensor, allowed: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """Draw one token (B,) from logits (B, V)."""
    logits = logits.masked_fill(~allowed, -torch.inf)
    if sampling.top_k is not None:
        least = logits.topk(min(sampling.top_k, int(allowed.sum())), dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if not sampling.temperature:
        return logits.argmax(dim=-1)
    return torch.multinomial((logits / sampling.temperature).softmax(dim=-1), 1, generator=generator)[:, 0]
