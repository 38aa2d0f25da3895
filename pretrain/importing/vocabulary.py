"""Vocabularies: is an id here what it was there, and how do rows move when it is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.families import Family
from pretrain.models import EncoderSettings
from pretrain.tokenizers import build_tokenizer

_BY_TOKEN = ("encoder.embeddings.word.weight", "mlm_head.bias")  # tensors with a row per token
_IDS = {"vocab_size": 0, "pad_token_id": 0, "mask_token_id": 0, "base_token_ids": None}


def vocabulary_beside(folder: Path) -> tuple[str, ...] | None:
    """Tokens by id of the ``vocab.txt`` or ``tokenizer.json`` in a folder; None where there is neither."""
    if (folder / "vocab.txt").is_file():
        return tuple((folder / "vocab.txt").read_text(encoding="utf-8").split())
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        ids = dict(tree["model"]["vocab"]) | {added["content"]: added["id"] for added in tree.get("added_tokens", ())}
        return tuple(sorted(ids, key=lambda token: ids[token]))
    except (ValueError, KeyError, TypeError) as why:
        raise PolymeraseError(f"{path}: not a tokenizer of the tokenizers library ({why})") from None


def check_vocabulary(source: str, family: Family, found: tuple[str, ...]) -> None:
    """PolymeraseError where ids mean other tokens than in ``family``: weights would be read row by wrong row."""
    ours = build_tokenizer(family.tokenizer).vocab
    for number, (theirs, own) in enumerate(zip(found, ours, strict=False)):
        if theirs != own:
            raise PolymeraseError(
                f"{source}: other ids than {family.name} has: {number} is {theirs!r} there, {own!r} here; "
                "this is another model, or a port with ids of its own"
            )
    if len(found) != len(ours):
        raise PolymeraseError(f"{source}: its vocabulary has {len(found)} tokens, that of {family.name} {len(ours)}")


def extend_vocabulary(
    state: Mapping[str, Tensor], old: Family, old_settings: EncoderSettings, new: Family, seed: int
) -> dict[str, Tensor]:
    """Weights of a model of ``old`` as those of ``new``, whose vocabulary holds all its tokens and some more.

    Rows follow their tokens, wherever these stand in the new vocabulary; rows of new tokens are the mean of the old
    ones with a little noise, so that they begin in the middle; every other tensor stays as it is.

    Raises:
        PolymeraseError: a token would be lost, or the two encoders differ in more than their vocabularies.
    """
    before, after = build_tokenizer(old.tokenizer).vocab, build_tokenizer(new.tokenizer).vocab
    lost = [token for token in before if token not in after]
    if lost:
        raise PolymeraseError(f"model.extend_vocabulary: {new.name} has no token {lost[0]!r}, which {old.name} has")
    if _without_ids(old.settings) != _without_ids(new.settings):
        raise PolymeraseError(f"model.extend_vocabulary: {old.name} and {new.name} differ in more than their tokens")
    place = {token: number for number, token in enumerate(after)}
    rows = torch.tensor([place[token] for token in before])
    generator = torch.Generator().manual_seed(seed)
    result = dict(state)
    for name in _BY_TOKEN:
        if name in state:
            noise = torch.randn((len(after), *state[name].shape[1:]), generator=generator)
            result[name] = state[name].mean(dim=0) + old_settings.initializer_range * noise
            result[name][rows] = state[name]
    return result


def _without_ids(settings: EncoderSettings) -> EncoderSettings:
    return replace(settings, **_IDS)  # type: ignore[arg-type]
