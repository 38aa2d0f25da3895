"""RNAErnie from Paddle's layout, on outputs of an independent port (tests/golden/rnaernie/tiny_rnaernie)."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pretrain.families import FAMILIES
from pretrain.families.published import our_tensors, published_model
from pretrain.models.padded import unpad

FAMILY = FAMILIES["rnaernie"]


@pytest.fixture(scope="module")
def tiny(golden):
    folder = golden / "rnaernie" / "tiny_rnaernie"
    arrays = {
        name: {key: torch.from_numpy(value) for key, value in np.load(folder / f"{name}.npz").items()}
        for name in ("paddle_layout", "inputs", "expected")
    }
    model = published_model(FAMILY.resized(json.loads((folder / "config.json").read_text())))
    model.load_state_dict(our_tensors(FAMILY.upstream, arrays["paddle_layout"]))
    return model.eval(), arrays["inputs"], arrays["expected"]


def test_hidden_states_logits_and_loss_equal_the_port(tiny):
    model, inputs, expected = tiny
    packed = unpad(inputs["input_ids"], inputs["attention_mask"].bool())
    with torch.no_grad():
        got = model.encoder(packed.batch, return_states=True)
        logits = model.logits(got.hidden)
    for layer, state in enumerate(got.states):
        torch.testing.assert_close(state, packed.pick(expected[f"hidden_{layer}"]), atol=2e-5, rtol=0)
    torch.testing.assert_close(logits, packed.pick(expected["logits"]), atol=2e-5, rtol=0)
    labels = packed.pick(inputs["labels"])
    loss = F.cross_entropy(logits[labels >= 0], labels[labels >= 0])
    assert loss.item() == pytest.approx(expected["loss_mean_over_masked"].item(), abs=2e-5)
