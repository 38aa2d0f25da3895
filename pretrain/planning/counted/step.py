"""Runs one micro-batch and one update on tensors without content, and counts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from pretrain.batches.block import Prepared
from pretrain.batches.collate import MicroBatch
from pretrain.config import Config
from pretrain.models import LanguageModel, ModelSettings, PackedBatch
from pretrain.models.device_kind import pretend
from pretrain.models.layout_plan import TILES
from pretrain.objectives import Objective, ObjectiveContext
from pretrain.objectives.model import PretrainingModel
from pretrain.planning.counted.ledger import Ledger
from pretrain.planning.counted.stand_ins import TorchKernels, stand_ins
from pretrain.training.initial_weights import options_of
from pretrain.training.optim import build_optimizer

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class CountedStep:
    """One micro-batch forwards and backwards, and one update of all parameters on one rank.

    Attributes:
        ledger: what was launched.
        lengths: tokens of the sequences of the micro-batch.
        parameters, parameter_tensors: how many numbers and tensors are trained.
        activation_bytes: the most that was held beside the weights, gradients of the backward pass included.
        sent_bytes: of a micro-batch, in one copy from the host.
    """

    ledger: Ledger
    lengths: list[int]
    parameters: int
    parameter_tensors: int
    activation_bytes: int
    sent_bytes: int

    @property
    def tokens(self) -> int:
        """Tokens of the micro-batch."""
        return sum(self.lengths)

    def kernels(self, phase: str) -> int:
        """Kernels launched in a phase."""
        return sum(launch.kernels for launch in self.ledger.launches if launch.phase == phase)

    def bytes_of(self, kind: str) -> int:
        """Bytes read and written by launches of a kind, the optimizer's apart."""
        return sum(x.read + x.written for x in self.ledger.launches if x.kind == kind and x.phase != "optimizer")

    def flops_of(self, kind: str) -> float:
        """Floating-point operations of launches of a kind."""
        return sum(launch.flops for launch in self.ledger.launches if launch.kind == kind)


def count_step(
    config: Config,
    settings: ModelSettings,
    objectives: dict[str, Objective],
    context: ObjectiveContext,
    batch_on_host: MicroBatch,
) -> CountedStep:
    """Count the step of a config on a micro-batch."""
    batch = Prepared(lambda *_: batch_on_host, "cuda", tuple(sorted(set(TILES.values()))), pin=False)(0, 0)
    assert batch.block is not None
    ledger = Ledger()
    lengths = batch.packed.lengths
    ledger.pairs = sum(length * length for length in lengths)
    half = _DTYPES[config.engine.precision]
    ledger.tiles = sum((-(-length // TILES[half])) ** 2 for length in lengths)
    weights = half if config.engine.zero_stage else torch.float32
    with torch.device("meta"):
        model = PretrainingModel(
            LanguageModel.build(settings, options_of(config, settings)), objectives, context
        ).train()
    with pretend(stand_ins(ledger)), _quiet(), FakeTensorMode(allow_non_fake_inputs=True) as fake:
        _fill(model, weights)
        packed, targets = _without_content(batch, fake)
        autocast = weights != half
        with TorchKernels(ledger), ledger:
            with torch.autocast("cpu", half) if autocast else nullcontext():
                loss, _ = model(packed, targets, dict.fromkeys(objectives, 1.0))
            ledger.phase = "backward"
            loss.backward()
        del loss
        _update(model, config, ledger)
    numbers = [parameter.numel() for parameter in model.parameters()]
    return CountedStep(
        ledger, batch.packed.real_lengths, sum(numbers), len(numbers), ledger.peak_bytes, batch.block.nbytes
    )


def _fill(model: nn.Module, dtype: torch.dtype) -> None:
    """Tensors without content in place of all parameters and buffers."""
    for module in model.modules():
        for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            kind = dtype if tensor.is_floating_point() else tensor.dtype
            made = torch.empty(tensor.shape, dtype=kind, device="cpu")
            is_parameter = isinstance(tensor, nn.Parameter)
            setattr(module, name, nn.Parameter(made, tensor.requires_grad) if is_parameter else made)


def _without_content(batch: MicroBatch, fake: FakeTensorMode) -> tuple[PackedBatch, dict[str, dict[str, Tensor]]]:
    targets: dict[str, dict[str, Tensor]] = {
        name: {key: fake.from_tensor(values) for key, values in arrays.items()}
        for name, arrays in batch.targets.items()
    }
    return batch.packed.map(fake.from_tensor), targets


def _update(model: PretrainingModel, config: Config, ledger: Ledger) -> None:
    """The optimizer on float32 parameters, as ZeRO's masters are. What DeepSpeed adds is in ``deepspeed_cost.py``."""
    _fill(model, torch.float32)
    for parameter in model.parameters():
        parameter.grad = torch.empty(parameter.shape, device="cpu")
    optimizer = build_optimizer(model, config.optimizer)
    for group in optimizer.param_groups:
        if not group.get("fused"):
            group["foreach"] = True  # as torch decides on a GPU
    with Ledger():
        for _ in range(2):  # state is made, and looked at, once per run
            optimizer.step()
    ledger.phase, peak = "optimizer", ledger.peak_bytes
    with ledger:
        optimizer.step()
    ledger.peak_bytes = peak


@contextmanager
def _quiet() -> Iterator[None]:
    """A counted step says nothing about its attention."""
    log = logging.getLogger("polymerase")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
