"""Cost of a run: parameters, floating-point operations, memory. Formulas, not measurements."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from pretrain.config import Config
from pretrain.config.sections import Optimizer as OptimizerSettings
from pretrain.models import LanguageModel, ModelSettings, architecture_of
from pretrain.objectives import OBJECTIVES, ObjectiveContext
from pretrain.objectives.model import PretrainingModel
from pretrain.training.engine import BUCKET
from pretrain.training.initial_weights import options_of

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
STAYS_GATHERED = 1_000_000_000  # weights that stage 3 keeps whole from forward to backward, at most


def parameter_count(config: Config, settings: ModelSettings) -> int:
    """Count trained parameters, the heads of the run's objectives included (an RNA type head counts 28 types)."""
    context = ObjectiveContext(hidden_size=settings.hidden_size)
    objectives = {name: OBJECTIVES[name](section, context) for name, section in config.objectives.active().items()}
    with torch.device("meta"):
        model = PretrainingModel(LanguageModel.build(settings), objectives, context)
    return sum(parameter.numel() for parameter in model.parameters())


def flops_per_token(settings: ModelSettings, length: float, selected: float) -> float:
    """Count operations of forward and backward pass, per token: 3 x (matrix products of the forward pass).

    Args:
        settings: of the model.
        length: tokens of the sequences.
        selected: share of tokens that reach the output head.
    """
    architecture = architecture_of(settings)
    head = architecture.head(settings).flops_per_token()
    return 3.0 * (architecture.flops_per_token(settings, length) + selected * head)


@dataclass(frozen=True)
class Memory:
    """Bytes on one rank."""

    weights: float
    gradients: float
    optimizer: float  # float32 master weights included where ZeRO or 16-bit training keeps them
    buffers: float  # what DeepSpeed holds on the way: buckets of gradients, at stage 3 also gathered weights
    activations: float

    @property
    def total(self) -> float:
        """Sum of all parts, in bytes."""
        return self.weights + self.gradients + self.optimizer + self.buffers + self.activations

    def with_activations(self, counted: float) -> Memory:
        """The same with activations from another count."""
        return replace(self, activations=counted)


def memory_per_rank(config: Config, settings: ModelSettings, parameters: int, ranks: int, lengths: list[int]) -> Memory:
    """Estimate for one micro-batch of sequences of these lengths (tokens), at its worst moment in a step."""
    engine = config.engine
    small = _BYTES[engine.precision] if engine.zero_stage else 4
    share = {0: (1, 1, 1), 1: (1, 1, ranks), 2: (1, ranks, ranks), 3: (ranks, ranks, ranks)}[engine.zero_stage]
    states = optimizer_bytes(config.optimizer)
    cast = 2 if engine.zero_stage == 0 and engine.precision == "bf16" else 0  # kept by autocast for the backward pass
    master = 0 if engine.zero_stage == 0 else 4
    offloaded = engine.offload_optimizer == "cpu"
    return Memory(
        weights=0 if engine.offload_param == "cpu" else parameters * (small + cast) / share[0],
        gradients=parameters * _gradient_bytes(engine.zero_stage, small) / share[1],
        optimizer=0 if offloaded else parameters * (states + master) / share[2],
        buffers=small * _buffer_elements(engine.zero_stage, parameters),
        activations=architecture_of(settings).activation_bytes(
            settings, options_of(config, settings), lengths, _BYTES[engine.precision]
        ),
    )


def _buffer_elements(stage: int, parameters: int) -> int:
    """Stage 3 fills a second bucket for its reduce-scatter."""
    bucket = min(parameters, BUCKET)
    return {0: 0, 1: bucket, 2: bucket, 3: 2 * bucket + min(parameters, STAYS_GATHERED)}[stage]


def optimizer_bytes(settings: OptimizerSettings) -> int:
    """Return the bytes of state per parameter, in float32: two moments, or the momentum of SGD."""
    if settings.name == "sgd":
        return 4 if settings.momentum else 0
    return 4 if settings.name == "muon" else 8  # hidden matrices are nearly all of a model


def _gradient_bytes(stage: int, weight_bytes: int) -> int:
    """Bytes per parameter: float32 sums of the micro-batches, and what is added to them.

    At stage 1 that is the 16-bit gradients, and at stage 2 the reduced ones of the last micro-batch, in float32.
    """
    return 4 + (weight_bytes if stage == 1 and weight_bytes == 2 else 4 if stage == 2 else 0)
