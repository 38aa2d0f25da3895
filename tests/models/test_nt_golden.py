"""Nucleotide Transformer v1 and v2 on the outputs of their original code (tests/golden/nt), within its tolerances."""

import pytest
import torch

from pretrain.models import LanguageModel
from tests.models.golden_transformer import (
    Golden,
    build,
    check_loss_and_gradients,
    mean_loss,
    ours,
    packed,
    small,
    under,
)

FAMILY = {"v1": "nt_v1_500m", "v2": "nt_v2_50m"}
EVERY = pytest.mark.parametrize("version", FAMILY)
CLOSE = {"atol": 2e-5, "rtol": 0.0}


@pytest.fixture(scope="module")
def files(golden):
    return Golden.load(golden / "nt")


def model_of(version: str, files: Golden) -> LanguageModel:
    return build(small(FAMILY[version]), ours(FAMILY[version], under(f"{version}/", files.weights)))


@EVERY
@torch.no_grad()
def test_hidden_states_and_logits_equal_upstream(files, version):
    model, io = model_of(version, files), under(f"{version}.", files.io)
    batch = packed(io["input_ids"], io["attention_mask"])
    output = model.encoder(batch.batch, return_states=True)
    torch.testing.assert_close(output.states[1], batch.pick(io["layer1_hidden"]), **CLOSE)
    torch.testing.assert_close(output.hidden, batch.pick(io["last_hidden_after_final_norm"]), **CLOSE)
    torch.testing.assert_close(model.logits(output.hidden), batch.pick(io["logits"]), **CLOSE)
    whole = packed(io["raw_ids"], io["attention_mask"])
    torch.testing.assert_close(model(whole.batch), whole.pick(io["logits_unmasked_input"]), **CLOSE)


@EVERY
def test_loss_and_every_gradient_equal_upstream(files, version):
    model, io = model_of(version, files), under(f"{version}.", files.io)
    batch, meta = packed(io["input_ids"], io["attention_mask"]), files.meta[version]
    loss = mean_loss(model, batch, io["labels"])
    assert int((batch.pick(io["labels"]) != -100).sum()) == meta["n_targets"]
    check_loss_and_gradients(model, loss, meta["loss"], ours(FAMILY[version], under(f"{version}/", files.grads)))
