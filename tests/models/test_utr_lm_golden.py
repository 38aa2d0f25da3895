"""UTR-LM on the outputs of upstream's own code (tests/golden/utr_lm), with the tolerances of its README."""

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from pretrain.families import FAMILIES
from pretrain.families.published import our_tensors, published_model
from pretrain.models import LanguageModel
from pretrain.models.padded import Unpadded, unpad

FAMILY = FAMILIES["utr_lm"]
CLOSE = {"atol": 2e-5, "rtol": 1e-4}


def tiny(layers: int, heads: int, width: int) -> dict:
    return {
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "hidden_size": width,
        "intermediate_size": 4 * width,
    }


def build(weights: dict[str, Tensor], sizes: dict, prefix: str, heads: tuple[str, ...]) -> LanguageModel:
    model = published_model(replace(FAMILY.settings, **sizes), heads)
    named = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    model.load_state_dict(our_tensors(FAMILY.upstream, named))
    return model.eval()


@pytest.fixture(scope="module")
def files(golden):
    folder = golden / "utr_lm"
    return {
        **{name: load_file(folder / f"{name}.safetensors") for name in ("weights", "forward", "checkpoint_outputs")},
        "losses": json.loads((folder / "losses.json").read_text()),
    }


@pytest.fixture
def model(files):
    return build(files["weights"], tiny(3, 4, 32), "module.", FAMILY.heads)


def unpadded(ids: Tensor) -> Unpadded:
    return unpad(ids, ids != FAMILY.settings.pad_token_id)


@pytest.mark.parametrize(
    ("case", "ids"), [("masked", "masked_tokens"), ("unmasked", "tokens"), ("single", "single.masked_tokens")]
)
def test_forward_of_every_head_equals_upstream(files, model, case, ids):
    forward = files["forward"]
    packed = unpadded(forward[ids])
    with torch.no_grad():
        got = model.encoder(packed.batch, return_states=True)
        outputs = {
            "logits_mlm": model.logits(got.hidden),
            "logits_structure": model.heads["structure"](got.hidden),
        }
        mfe = model.heads["mfe"](got.hidden[packed.batch.cu_seqlens[:-1].long()])
    for layer, state in enumerate(got.states):
        torch.testing.assert_close(state, packed.pick(forward[f"{case}.hidden_{layer}"]), **CLOSE)
    for name, value in outputs.items():
        torch.testing.assert_close(value, packed.pick(forward[f"{case}.{name}"]), **CLOSE)
    torch.testing.assert_close(mfe, forward[f"{case}.pred_mfe"], **CLOSE)


def test_sequences_beyond_a_thousand_tokens_equal_upstream(files):
    model, forward = build(files["weights"], tiny(2, 2, 16), "long.module.", FAMILY.heads), files["forward"]
    ids = forward["long.masked_tokens_before_truncation"].long()
    packed = unpadded(ids)
    with torch.no_grad():
        hidden = model.encoder(packed.batch).hidden
    logits = torch.zeros(*ids.shape, 10)
    logits[packed.real] = model.logits(hidden)
    torch.testing.assert_close(logits[:, :8], forward["long.logits_mlm_untruncated_first8"], **CLOSE)
    mfe = model.heads["mfe"](hidden[packed.batch.cu_seqlens[:-1].long()])
    torch.testing.assert_close(mfe, forward["long.pred_mfe_untruncated"], **CLOSE)


def siss_losses(model: LanguageModel, forward: dict[str, Tensor]) -> dict[str, Tensor]:
    """The three terms on the golden batch, labels as upstream builds them (structure one column to the left)."""
    packed = unpadded(forward["masked_tokens"])
    hidden = model.encoder(packed.batch).hidden
    labels, symbols = (packed.pick(forward[f"upstream_{name}_labels"]) for name in ("mlm", "structure"))
    rows = packed.batch.cu_seqlens[:-1].long()[forward["upstream_mfe_row_mask"]]
    return {
        "mlm": F.cross_entropy(model.logits(hidden[labels >= 0]), labels[labels >= 0]),
        "mfe": F.mse_loss(model.heads["mfe"](hidden[rows]), forward["upstream_mfe_targets"]),
        "structure": F.cross_entropy(model.heads["structure"](hidden[symbols >= 0]), symbols[symbols >= 0]),
    }


def test_losses_and_gradients_equal_upstream(files, model):
    losses, expected = siss_losses(model, files["forward"]), files["losses"]["losses"]["ESM2SISS"]
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(expected[name], rel=1e-5)
    total = sum(losses.values())
    assert total.item() == pytest.approx(expected["total"], rel=1e-5)
    total.backward()
    prefix = "grad."
    published = {key[len(prefix) :]: value for key, value in files["forward"].items() if key.startswith(prefix)}
    for name, gradient in our_tensors(FAMILY.upstream, published).items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, atol=1e-5, rtol=1e-4)
    norms = {key: value for key, value in expected["grad_norms"].items() if value is not None}
    assert set(norms) | {"contact_head.regression.weight", "contact_head.regression.bias"} == set(
        expected["grad_norms"]
    )
    for key, norm in norms.items():
        name, _ = FAMILY.upstream.to_ours(key)
        assert model.get_parameter(name).grad.norm().item() == pytest.approx(norm, rel=1e-4)


def test_a_checkpoint_as_upstream_writes_it_gives_upstreams_outputs(files, golden):
    path = golden / "utr_lm" / "tiny_ESM2SI_2layers_4heads_16embedsize_MLMLossMin_epoch3.pkl"
    model = build(torch.load(path, weights_only=True), tiny(2, 4, 16), "module.", ("mlm", "mfe"))
    packed = unpadded(files["forward"]["masked_tokens"])
    with torch.no_grad():
        hidden = model.encoder(packed.batch).hidden
    outputs = files["checkpoint_outputs"]
    torch.testing.assert_close(model.logits(hidden), packed.pick(outputs["logits"]), **CLOSE)
    torch.testing.assert_close(
        model.heads["mfe"](hidden[packed.batch.cu_seqlens[:-1].long()]), outputs["logits_supervised"], **CLOSE
    )
