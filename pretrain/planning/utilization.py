"""The share of a GPU's peak that a training reaches (MFU), while it runs."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pretrain.models import ModelSettings
from pretrain.planning.costs import flops_per_token
from pretrain.planning.counted.cards import CARDS, Card
from pretrain.training.components import RunComponents


def utilization(components: RunComponents, ranks: int) -> Callable[[float, float, float], float] | None:
    """Return what turns the speed of this run into a share of the peak; None on a CPU, or a card without figures."""
    if not torch.cuda.is_available():
        return None
    card = card_named(torch.cuda.get_device_name())
    return None if card is None else share_of(card, components.settings, components.config.engine.precision, ranks)


def card_named(device: str) -> Card | None:
    """The card that CUDA calls so, such as ``NVIDIA H100 80GB HBM3``."""
    plain = device.upper().replace(" ", "")
    return next((card for name, card in CARDS.items() if name in plain), None)


def share_of(card: Card, settings: ModelSettings, precision: str, ranks: int) -> Callable[[float, float, float], float]:
    """(tokens per second of all ranks, tokens of a sequence, targets per token) -> share of ``ranks`` cards' peak."""
    peak = 1e12 * ranks * (card.float_tflops if precision == "fp32" else card.half_tflops)
    return lambda speed, length, selected: speed * flops_per_token(settings, length, selected) / peak
