"""Masking strategies: which tokens are hidden, and by what."""

from __future__ import annotations

from typing import Any

from pretrain.masking.base import BaseMasking
from pretrain.masking.masked import Masked, MaskingStrategy, SideInformation
from pretrain.masking.settings import MaskingSettings
from pretrain.tokenizers.batch import Tokenizer

STRATEGIES: dict[str, Any] = {
    "base": BaseMasking,
}


def build_strategy(settings: MaskingSettings, tokenizer: Tokenizer) -> MaskingStrategy:
    """The strategy its settings describe, for one vocabulary; PolymeraseError where the two do not fit."""
    return STRATEGIES[settings.strategy](settings, tokenizer)


__all__ = ["STRATEGIES", "Masked", "MaskingStrategy", "SideInformation", "build_strategy"]
