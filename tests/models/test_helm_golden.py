"""HELM's GPT-2, masked and causal, on the outputs of its original code (tests/golden/helm), within its tolerances."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pretrain.models import LanguageModel
from pretrain.models.padded import Unpadded
from pretrain.models.transformer.settings import TransformerSettings
from tests.models.golden_transformer import (
    Golden,
    Tensors,
    build,
    check_loss_and_gradients,
    mean_loss,
    ours,
    packed,
    small,
    under,
)

MASKED = replace(small("helm_mlm"), position_embedding_type="none", max_position_embeddings=64)
HXE_PAD = 4  # of the sorted ids
VARIANTS = {  # name -> settings, pad id of the attention mask (None: pads are tokens like any other)
    "mlm_xe_nopos_bidirectional": (MASKED, 1),
    "mlm_xe_abspos_bidirectional": (replace(MASKED, position_embedding_type="learned"), 1),
    "mlm_xe_nopos_released_eager_is_causal": (replace(MASKED, causal=True), 1),
    "mlm_hxe0.4_nopos_fixed_pads_masked": (MASKED, HXE_PAD),
    "mlm_hxe0.4_nopos_released_pads_attended": (MASKED, None),
}
CAUSAL = replace(MASKED, causal=True)
CLOSE = {"atol": 2e-5, "rtol": 0.0}


def ours_of(theirs: Tensors, has_positions: bool) -> Tensors:
    """Released tensors under our names, for a model with or without positions."""
    return ours("helm_mlm", {name: x for name, x in theirs.items() if has_positions or name != "model.wpe.weight"})


def model_of(settings: TransformerSettings, files: Golden) -> LanguageModel:
    return build(settings, ours_of(files.weights, settings.position_embedding_type == "learned"))


def batch_of(ids: Tensor, pad: int | None) -> Unpadded:
    return packed(ids, torch.ones_like(ids) if pad is None else ids != pad)


@pytest.fixture(scope="module")
def files(golden):
    return Golden.load(golden / "helm")


def check_gradient_norms(model: LanguageModel, loss: Tensor, weights: Tensors, expected: dict) -> None:
    """The recorded loss, and norms of the gradients of the released tensors: queries, keys and values together."""
    loss.backward()
    assert loss.item() == pytest.approx(expected["loss"], rel=1e-5)
    names = list(weights)
    marked = {name: torch.full_like(weights[name], number) for number, name in enumerate(names)}
    released = {name: names[int(value.flatten()[0])] for name, value in ours_of(marked, True).items()}
    squares = dict.fromkeys(expected["grad_l2"], 0.0)
    for name, parameter in model.named_parameters():
        squares[released[name]] += float(parameter.grad.square().sum())
    for name, square in squares.items():
        assert square**0.5 == pytest.approx(expected["grad_l2"][name], rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_logits_of_every_variant_equal_upstream(files, variant):
    settings, pad = VARIANTS[variant]
    ids = files.io["hxe.input" if "hxe" in variant else "xe.input"].long()
    model, batch = model_of(settings, files), batch_of(ids, pad)
    hidden = model.encoder(batch.batch).hidden
    if f"{variant}.final_hidden" in files.io:
        torch.testing.assert_close(hidden, batch.pick(files.io[f"{variant}.final_hidden"]), **CLOSE)
    if f"{variant}.logits" in files.io:
        torch.testing.assert_close(model.logits(hidden), batch.pick(files.io[f"{variant}.logits"]), **CLOSE)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "_xe_" in name])
def test_loss_and_gradient_norms_of_masked_variants_equal_upstream(files, variant):
    settings, pad = VARIANTS[variant]
    model, batch = model_of(settings, files), batch_of(files.io["xe.input"], pad)
    labels = files.io["xe.target"].where(files.io["xe.input"] == MASKED.mask_token_id, -100)
    expected = files.meta["models"][variant]
    assert int((labels != -100).sum()) == expected["n_targets"]
    check_gradient_norms(model, mean_loss(model, batch, labels), files.weights, expected)


def test_every_gradient_of_the_masked_model_equals_upstream(files):
    name, model = "mlm_xe_nopos_bidirectional", model_of(MASKED, files)
    labels = files.io["xe.target"].where(files.io["xe.input"] == MASKED.mask_token_id, -100)
    loss = mean_loss(model, batch_of(files.io["xe.input"], 1), labels)
    gradients = ours_of(under(f"{name}.", files.grads), has_positions=False)
    check_loss_and_gradients(model, loss, files.meta["models"][name]["loss"], gradients)


def test_the_causal_model_equals_upstream(files):
    """Logits of real tokens; loss and gradient norms where pads are no targets."""
    ids = files.io["xe.target"].long()
    model, batch = model_of(CAUSAL, files), batch_of(ids[:, :-1], 1)
    logits = files.io["clm_xe_nopos_released_pads_counted.logits"]
    torch.testing.assert_close(model(batch.batch), batch.pick(logits), **CLOSE)
    labels = ids[:, 1:].where(ids[:, 1:] != 1, -100)
    expected = files.meta["models"]["clm_xe_nopos_fixed_pads_ignored"]
    assert int((labels != -100).sum()) == expected["n_targets"]
    check_gradient_norms(model, mean_loss(model, batch, labels), files.weights, expected)


def test_no_token_changes_what_stands_before_it(files):
    model, ids = model_of(CAUSAL, files), files.io["xe.target"][:1].long()
    changed = torch.cat([ids[:, :20], ids[:, 20:].flip(1)], dim=1)
    with torch.no_grad():
        logits, other = (model(batch_of(x, None).batch) for x in (ids, changed))
    assert torch.equal(logits[:20], other[:20])
    assert not torch.allclose(logits[20:], other[20:])
