"""Nothing is lost or changed between a release's file, an exported folder, and our state."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pretrain.errors import PolymeraseError
from pretrain.exporting.tensors import export_tensors
from pretrain.families import FAMILIES, TRANSFORMS
from pretrain.families.published import published_model
from pretrain.importing import load_pretrained_state
from pretrain.importing.match import match
from tests.families.tiny import tiny


@pytest.mark.parametrize("name", FAMILIES)
def test_ours_to_hugging_face_and_back_is_exact(name: str) -> None:
    family = FAMILIES[name]
    settings = tiny(family, width=24, heads=3, inner=20)
    state = published_model(settings, family.heads).state_dict()
    tensors = export_tensors(family, settings, state, "mlm")
    back = match(family.hugging_face.keys, tensors.model)
    assert not back.unexpected
    ours = {key: value for key, value in (back.state | tensors.heads).items() if not key.startswith("unused.")}
    assert ours.keys() == state.keys()
    assert all(torch.equal(ours[key], state[key]) for key in state)


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("ernie", "ernie_rna/weights.safetensors"),
        ("mutbert", "mutbert/mlm_weights.safetensors"),
        ("utr_lm", "utr_lm/weights.safetensors"),
    ],
)
def test_a_release_comes_back_from_its_export_bit_for_bit(
    folder: str, source: str, golden: Path, request: pytest.FixtureRequest
) -> None:
    family, settings, state = load_pretrained_state(request.getfixturevalue(folder))
    assert settings.num_attention_heads == 4
    published = {
        k.removeprefix("module."): t for k, t in load_file(golden / source).items() if not k.startswith("long.")
    }
    restored = {}
    for name, tensor in state.items():
        found = family.upstream.to_theirs(name)
        assert found is not None, name
        restored[found[0]] = TRANSFORMS[found[1].transform][1](tensor)
    restored |= {copy: restored[first] for copy, first in family.upstream.duplicates.items()}
    without_buffers = {key for key in published if not family.upstream.is_ignorable(key)}
    assert set(restored) == without_buffers
    assert all(torch.equal(restored[key], published[key]) for key in without_buffers)


def test_a_doubled_bias_comes_back_as_it_was(utrbert: Path, utrbert_upstream: Path) -> None:
    family, _, state = load_pretrained_state(utrbert)
    assert family.name == "utrbert_4mer"
    published = torch.load(utrbert_upstream, weights_only=True)
    assert torch.equal(state["mlm_head.bias"] / 2, published["cls.predictions.bias"])
    assert torch.equal(state["unused.pooler.weight"], published["bert.pooler.dense.weight"])


def test_a_paddle_release_comes_back_from_its_export(rnaernie: Path, golden: Path) -> None:
    import numpy as np

    _, settings, state = load_pretrained_state(rnaernie)
    assert settings.mlp == "relu"
    published = np.load(golden / "rnaernie" / "tiny_rnaernie" / "paddle_layout.npz")
    np.testing.assert_array_equal(
        state["encoder.layers.2.mlp.down.weight"].numpy(), published["ernie.encoder.layers.2.linear2.weight"].T
    )


def test_a_tensor_without_a_place_or_with_nan_is_not_exported() -> None:
    family = FAMILIES["ernie_rna"]
    settings = replace(family.settings, hidden_size=24, num_hidden_layers=1, num_attention_heads=3)
    state = published_model(settings).state_dict()
    with pytest.raises(PolymeraseError, match=r"encoder\.extra: the exported class PolymeraseForMaskedLM has no such"):
        export_tensors(family, settings, state | {"encoder.extra": torch.ones(1)}, "mlm")
    state["mlm_head.bias"][3] = float("inf")
    with pytest.raises(PolymeraseError, match=r"mlm_head\.bias holds NaN or infinite"):
        export_tensors(family, settings, state, "mlm")
