"""What the golden tests of transformers share: published tensors under our names, and the comparisons."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from pretrain.families import FAMILIES
from pretrain.families.golden_references import PADDED_GOLDENS
from pretrain.families.published import our_tensors
from pretrain.models import LanguageModel, architecture_of
from pretrain.models.padded import Unpadded, unpad
from pretrain.models.record import with_fields
from pretrain.models.transformer.settings import TransformerSettings

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Golden:
    """Files of one folder."""

    weights: Tensors
    grads: Tensors
    io: Tensors
    meta: dict[str, Any]

    @classmethod
    def load(cls, folder: Path, grads: str = "grads") -> "Golden":
        files = [load_file(folder / f"{name}.safetensors") for name in ("weights", grads, "io")]
        return cls(*files, json.loads((folder / "meta.json").read_text()))


def under(prefix: str, tensors: Tensors) -> Tensors:
    """Those whose names begin so, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def small(family: str) -> TransformerSettings:
    """Settings of a family in the small size of its golden."""
    whole = FAMILIES[family]
    return with_fields(architecture_of(whole.settings), PADDED_GOLDENS[family].sizes, whole.settings)


def ours(family: str, theirs: Tensors) -> Tensors:
    """Published tensors, or their gradients, under our names."""
    return our_tensors(FAMILIES[family].upstream, theirs)


def build(settings: TransformerSettings, ours: Tensors) -> LanguageModel:
    model = LanguageModel.build(settings)
    model.load_state_dict(ours)
    return model.eval()


def packed(ids: Tensor, mask: Tensor) -> Unpadded:
    return unpad(ids.long(), mask.bool())


def mean_loss(model: LanguageModel, batch: Unpadded, labels: Tensor) -> Tensor:
    """Cross-entropy of the labels that count, which -100 does not."""
    labels = batch.pick(labels.long())
    counts = labels != -100
    return F.cross_entropy(model.logits(model.encoder(batch.batch).hidden[counts]), labels[counts])


def check_loss_and_gradients(model: LanguageModel, loss: Tensor, expected_loss: float, expected: Tensors) -> None:
    """The recorded loss, and every parameter has its recorded gradient."""
    loss.backward()
    assert loss.item() == pytest.approx(expected_loss, abs=1e-5)
    got = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(
            got[name], gradient, atol=1e-6, rtol=2e-4, msg=lambda text, name=name: f"{name}: {text}"
        )
