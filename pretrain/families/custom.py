"""A family with the vocabulary of another tokenizer, and the family of a model that starts from no published one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

from pretrain.families.family import Family
from pretrain.families.keys import KeyLayout
from pretrain.families.own_code import OWN_FORMS
from pretrain.models.architecture import architecture_of
from pretrain.models.model_settings import ModelSettings
from pretrain.models.record import field_types, with_fields
from pretrain.tokenizers import TOKENIZERS, Tokenizer, build_tokenizer

CUSTOM = "custom"  # name of a family that is no published one
VOCABULARY_SETTINGS = ("vocab_size", "pad_token_id", "mask_token_id", "base_token_ids")


def custom_family(settings: ModelSettings, tokenizer: str, tokenizer_options: Mapping[str, Any]) -> Family:
    """Build a family for a model of the run's own, of any architecture."""
    architecture = architecture_of(settings)
    reads_ahead = not architecture.is_causal(settings) and build_tokenizer(tokenizer, **tokenizer_options).leading > 0
    return Family(
        name=CUSTOM,
        settings=settings,
        tokenizer=tokenizer,
        tokenizer_options=tokenizer_options,
        max_tokens=settings.max_position_embeddings,
        parameters=0,
        upstream=KeyLayout(()),
        hugging_face=OWN_FORMS[architecture.name],
        fine_tuning_head="pooler" if reads_ahead else "mean",
    )


def with_tokenizer(family: Family, tokenizer: str, options: Mapping[str, Any]) -> Family:
    """Return the family with the vocabulary of another tokenizer; itself if that is its own."""
    if tokenizer == family.tokenizer and not options:
        return family
    ids = ids_of(build_tokenizer(tokenizer, **options), type(family.settings))
    settings = with_fields(architecture_of(family.settings), ids, family.settings)
    return replace(family, settings=settings, tokenizer=tokenizer, tokenizer_options=options)


def options_in_folder(tokenizer: str, folder: Path) -> dict[str, Any]:
    """Return the options of a tokenizer that is read from a file, in an exported folder."""
    if tokenizer not in TOKENIZERS or "file" not in signature(TOKENIZERS[tokenizer]).parameters:
        return {}
    return {"file": str(folder / "tokenizer.json")}


def ids_of(tokenizer: Tokenizer, kind: type) -> dict[str, Any]:
    """Return the settings that belong to a vocabulary, as far as this class of settings has them."""
    bases = tuple(int(number) for number in tokenizer.nucleotide_ids)
    ids: dict[str, Any] = {
        "vocab_size": len(tokenizer.vocab),
        "pad_token_id": tokenizer.pad_id,
        "mask_token_id": tokenizer.mask_id,
        "base_token_ids": bases if len(bases) == 4 else None,  # k-mers have no token for each base
    }
    return {name: value for name, value in ids.items() if name in field_types(kind)}
