"""Masking strategies: which tokens are hidden, and by what."""

from __future__ import annotations

from typing import Any

from pretrain.masking.base import BaseMasking
from pretrain.masking.kmer import KmerMasking
from pretrain.masking.label_slot import LabelSlotMasking
from pretrain.masking.masked import Masked, MaskingStrategy, SideInformation
from pretrain.masking.mixture import MixtureMasking
from pretrain.masking.motif import MotifMasking
from pretrain.masking.none import NoMasking
from pretrain.masking.settings import MaskingSettings, MixtureSettings, strategy_names
from pretrain.masking.span import SpanMasking
from pretrain.masking.variant_first import VariantFirstMasking
from pretrain.plugins import plugins
from pretrain.tokenizers.batch import Tokenizer

STRATEGIES: dict[str, Any] = {
    "base": BaseMasking,
    "span": SpanMasking,
    "motif": MotifMasking,
    "kmer": KmerMasking,
    "variant_first": VariantFirstMasking,
    "none": NoMasking,
}
STRATEGIES |= plugins("maskings", STRATEGIES)


def build_strategy(settings: MaskingSettings, tokenizer: Tokenizer) -> MaskingStrategy:
    """Build the strategy that the settings describe, for one vocabulary; PolymeraseError if the two do not fit."""
    strategy = _build(settings, tokenizer)
    return LabelSlotMasking(strategy, settings.label_rate, tokenizer) if settings.label_rate else strategy


def _build(settings: MaskingSettings, tokenizer: Tokenizer) -> MaskingStrategy:
    if isinstance(settings, MixtureSettings):
        parts = [_build(part, tokenizer) for part in settings.parts]
        return MixtureMasking(parts, [part.weight for part in settings.parts])
    return STRATEGIES[settings.strategy](settings, tokenizer)


__all__ = ["STRATEGIES", "Masked", "MaskingStrategy", "SideInformation", "build_strategy", "strategy_names"]
