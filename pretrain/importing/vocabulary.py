"""Vocabularies: whether ids mean the same tokens on both sides, and how rows move if they do not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.families import Family
from pretrain.families.custom import options_in_folder
from pretrain.families.family import VOCABULARY_FILES
from pretrain.importing.damage import brief
from pretrain.models import ModelSettings, architecture_of

_IDS = ("vocab_size", "pad_token_id", "mask_token_id", "base_token_ids")


def vocabulary_beside(folder: Path, files: Sequence[str] = VOCABULARY_FILES) -> tuple[str, ...] | None:
    """Return tokens by id of the first of these files in a folder; None if there is none.

    ``tokenizer.json`` goes first, as in transformers: a ``vocab.txt`` beside it is not read by anyone.

    Raises:
        PolymeraseError: the file is not a vocabulary.
    """
    path = next((folder / name for name in files if (folder / name).is_file()), None)
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
        return _by_id(json.loads(text)) if path.suffix == ".json" else tuple(text.split())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as why:
        raise PolymeraseError(f"{path}: not a vocabulary ({brief(why)})") from None


def _by_id(tokenizer: Mapping[str, Any]) -> tuple[str, ...]:
    """Tokens of a ``tokenizer.json``; ValueError where an id is missing or given twice."""
    ids = dict(tokenizer["model"]["vocab"])
    ids |= {added["content"]: added["id"] for added in tokenizer.get("added_tokens", ())}
    if sorted(ids.values()) != list(range(len(ids))):
        raise ValueError("its ids do not count from 0 up")
    return tuple(sorted(ids, key=lambda token: ids[token]))


def with_tokenizer_beside(family: Family, folder: Path) -> Family:
    """Return a family whose tokenizer is a file (byte pairs) with the file that lies beside its weights.

    Raises:
        PolymeraseError: there is none.
    """
    options = options_in_folder(family.tokenizer, folder)
    if not options or family.tokenizer_options:
        return family
    if not Path(options["file"]).is_file():
        raise PolymeraseError(
            f"{folder}: no tokenizer.json, and {family.name} reads its tokens from one; put the file that travels with "
            "the weights there, or give --without-tokenizer for weights whose vocabulary is not the family's"
        )
    return replace(family, tokenizer_options=options)


def check_vocabulary(source: str, family: Family, folder: Path) -> None:
    """Compare the vocabulary in a folder, if it has one, with the family's.

    Raises:
        PolymeraseError: ids mean other tokens than in ``family``, so weights would be read row by wrong row.
    """
    found = vocabulary_beside(folder, family.vocabulary_files)
    if found is None:
        return
    ours = family.build_tokenizer().vocab
    for number, (theirs, own) in enumerate(zip(found, ours, strict=False)):
        if theirs != own:
            raise PolymeraseError(
                f"{source}: other ids than {family.name} has: {number} is {theirs!r} there, {own!r} here; "
                "this is another model, or a port with ids of its own"
            )
    if len(found) != len(ours):
        raise PolymeraseError(
            f"{source}: its vocabulary has {len(found)} tokens, that of {family.name} {len(ours)}; "
            "this is another model, or one with tokens added"
        )


def first_difference(one: Family, other: Family) -> str:
    """Say where the tokens of two families differ: the first id, or merges of byte pairs; empty if nowhere."""
    tokenizers = one.build_tokenizer(), other.build_tokenizer()
    vocabularies = [tokenizer.vocab for tokenizer in tokenizers]
    for number, (theirs, ours) in enumerate(zip(*vocabularies, strict=False)):
        if theirs != ours:
            return f"id {number} is {theirs!r} there, {ours!r} here"
    if len(set(map(len, vocabularies))) > 1:
        return f"{len(vocabularies[0])} tokens there, {len(vocabularies[1])} here"
    if len({tuple(getattr(tokenizer, "merges", ())) for tokenizer in tokenizers}) > 1:
        return "the same tokens, merged in another order"
    return ""


def extend_vocabulary(
    state: Mapping[str, Tensor], old: Family, old_settings: ModelSettings, new: Family, seed: int
) -> dict[str, Tensor]:
    """Return weights of a model of ``old`` as those of ``new``, whose vocabulary holds all its tokens and more.

    Rows follow their tokens, wherever these stand in the new vocabulary; rows of new tokens are the mean of the old
    ones with a little noise, so that they begin in the middle; every other tensor stays as it is.

    Raises:
        PolymeraseError: a token would be lost, or the two encoders differ in more than their vocabularies.
    """
    before, after = old.build_tokenizer().vocab, new.build_tokenizer().vocab
    lost = [token for token in before if token not in after]
    if lost:
        raise PolymeraseError(f"model.extend_vocabulary: {new.name} has no token {lost[0]!r}, which {old.name} has")
    if _without_ids(old.settings) != _without_ids(new.settings):
        raise PolymeraseError(f"model.extend_vocabulary: {old.name} and {new.name} differ in more than their tokens")
    place = {token: number for number, token in enumerate(after)}
    rows = torch.tensor([place[token] for token in before])
    generator = torch.Generator().manual_seed(seed)
    result = dict(state)
    deviation = architecture_of(old_settings).head(old_settings).initializer_range or 0.02
    table, _ = architecture_of(old_settings).dimensions["vocab_size"]
    for name in dict.fromkeys((table, "mlm_head.decoder.weight", "mlm_head.bias")):  # with a row per token
        if name in state:
            noise = torch.randn((len(after), *state[name].shape[1:]), generator=generator)
            result[name] = state[name].mean(dim=0) + deviation * noise
            result[name][rows] = state[name]
    return result


def _without_ids(settings: ModelSettings) -> dict[str, Any]:
    return {name: value for name, value in vars(settings).items() if name not in _IDS}
