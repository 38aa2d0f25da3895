"""The contestants: each makes its batches and computes a loss; all share one optimizer."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pretrain.batches.collate import MicroBatch, MicroBatchBuilder, to_device
from pretrain.batches.loader import load_steps
from pretrain.batches.plan import Bounds, Plan
from pretrain.benchmarking.minimal import MinimalBert
from pretrain.benchmarking.rows import Row, padded, rows_of
from pretrain.exporting.form import class_of, config_json
from pretrain.families import Family
from pretrain.families.own_code import form_of
from pretrain.models import side_inputs_of
from pretrain.training.components import RunComponents

_MEGABATCH = 50  # batches that transformers' group_by_length sorts together


@dataclass(frozen=True)
class BenchmarkPlan:
    """The samples of a benchmark: the stream from its start, ``sequences`` for each rank in each step.

    ``rank`` is the rank whose samples these are.
    """

    steps: int
    sequences: int
    ranks: int = 1
    rank: int = 0

    def spans(self) -> list[tuple[int, int]]:
        """Return the samples of each step of this rank."""
        micro_batches_per_rank = range(self.rank, self.steps * self.ranks, self.ranks)
        return [(n * self.sequences, (n + 1) * self.sequences) for n in micro_batches_per_rank]


@dataclass(frozen=True)
class BenchmarkBatch:
    """One batch: arguments of ``loss``, real tokens, and tokens that are computed (padding included)."""

    data: Any
    tokens: int
    cells: int
    squares: int  # sum of the squared real lengths


class Contestant(Protocol):
    """A model, and its batches."""

    model: nn.Module
    uses_deepspeed: bool

    def loads(self) -> Iterator[BenchmarkBatch]:
        """Yield the batches of the plan, in order; making one counts as waiting for data."""

    def loss(self, network: Callable[..., Any], load: BenchmarkBatch, device: torch.device) -> Tensor:
        """Run the forward pass through ``network`` (the model, or the engine around it)."""


class Ours:
    """The packed encoder with the training loader."""

    uses_deepspeed = True

    def __init__(self, components: RunComponents, course: BenchmarkPlan):
        self.model: nn.Module = components.model()
        self._builder, self._course = components.batches("train"), course

    def loads(self) -> Iterator[BenchmarkBatch]:
        """Yield packed micro-batches."""
        course = self._course
        plan = Plan(self._builder.lengths_at, Bounds(sequences=course.sequences), course.ranks)
        for step in load_steps(plan, 0, self._builder.make, course.rank, course.ranks, 0):
            batch = step.micro_batches[0]
            assert batch is not None
            lengths = batch.packed.lengths
            yield BenchmarkBatch(batch, batch.tokens, batch.tokens, sum(length * length for length in lengths))

    def loss(self, network: Callable[..., Any], load: BenchmarkBatch, device: torch.device) -> Tensor:
        """Return the weighted sum of all objectives."""
        batch: MicroBatch = load.data
        packed, targets = to_device(batch, device)
        torch.manual_seed(batch.dropout_seed)
        factors = {name: 1.0 / total if total else 0.0 for name, total in batch.denominators.items()}
        return network(packed, targets, factors)[0]


class HuggingFace:
    """transformers' class of the family (or our code for it), every batch padded to its longest sequence."""

    uses_deepspeed = True

    def __init__(self, components: RunComponents, course: BenchmarkPlan):
        self._settings: Any = components.settings
        self._course = course
        self._pairs = "pair_class" in side_inputs_of(components.settings, components.tokenizer.vocab)
        self.model: nn.Module = hugging_face_model(components.family, components.settings)
        self._builder = components.batches("train")

    def loads(self) -> Iterator[BenchmarkBatch]:
        """Yield batches padded to their longest sequence."""
        for rows in self._batches():
            lengths = [len(row.ids) for row in rows]
            s = self._settings
            data = padded(rows, s.pad_token_id, s.vocab_size, s.base_token_ids, self._pairs)
            yield BenchmarkBatch(
                data, sum(lengths), len(rows) * max(lengths), sum(length * length for length in lengths)
            )

    def loss(self, network: Callable[..., Any], load: BenchmarkBatch, device: torch.device) -> Tensor:
        """Return the loss of transformers' class."""
        return network(**{name: value.to(device, non_blocking=True) for name, value in load.data.items()}).loss

    def _batches(self) -> Iterator[list[Row]]:
        """In the order of the stream, which is random."""
        for span in self._course.spans():
            yield rows_of(self._builder.make(*span))


class HuggingFaceGrouped(HuggingFace):
    """The same with ``group_by_length``: sequences of similar length share a batch, batches come in random order."""

    def _batches(self) -> Iterator[list[Row]]:
        size, order = self._course.sequences, np.random.default_rng(0)
        spans = self._course.spans()
        for first in range(0, len(spans), _MEGABATCH):
            rows = [row for span in spans[first : first + _MEGABATCH] for row in rows_of(self._builder.make(*span))]
            rows.sort(key=lambda row: len(row.ids))
            batches = [rows[start : start + size] for start in range(0, len(rows), size)]
            yield from (batches[n] for n in order.permutation(len(batches)))


class MinimalLoop(HuggingFace):
    """A hand-written BERT in a plain PyTorch loop."""

    uses_deepspeed = False

    def __init__(self, components: RunComponents, course: BenchmarkPlan):
        self._settings, self._course = components.settings, course
        self.model = MinimalBert(components.settings)
        self._builder: MicroBatchBuilder = components.batches("train")
        self._half = components.config.engine.precision != "fp32"

    def loss(self, network: Callable[..., Any], load: BenchmarkBatch, device: torch.device) -> Tensor:
        """Return the loss of the hand-written model."""
        names = ("input_ids", "attention_mask", "labels")
        with torch.autocast(device.type, torch.bfloat16, enabled=self._half):
            return network(*(load.data[name].to(device, non_blocking=True) for name in names))


CONTESTANTS: dict[str, Callable[[RunComponents, BenchmarkPlan], Contestant]] = {
    "ours": Ours,
    "hf": HuggingFace,
    "hf_grouped": HuggingFaceGrouped,
    "loop": MinimalLoop,
}


def hugging_face_model(family: Family, settings: Any) -> nn.Module:
    """Build the family's masked-LM class with random weights; SDPA, except for pairing models."""
    import transformers

    form = form_of(family, settings)
    class_name, _ = class_of(form, settings, "mlm")
    if form.kind == "native":
        model_class = getattr(transformers, class_name)
    else:
        code = importlib.import_module(f"pretrain.exporting.remote_code.modeling_{form.model_type}")
        model_class = getattr(code, class_name)
    pairs = side_inputs_of(settings, family.build_tokenizer().vocab)
    config = model_class.config_class(**config_json(family, settings, class_name))
    return model_class._from_config(config, attn_implementation="eager" if pairs else "sdpa")
