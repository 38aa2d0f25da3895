"""GPN's three backbones on the outputs of upstream's own code (tests/golden/gpn, gpn_train), within its tolerances."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pretrain.config.sections import Optimizer
from pretrain.families.gpn import GPN_BYTENET_KEYS, GPN_KEYS, GPN_LEGACY_KEYS
from pretrain.families.published import our_tensors
from pretrain.models import LanguageModel, PackedBatch
from pretrain.models.convnet.settings import ConvNetSettings
from pretrain.objectives.base import class_loss, class_targets
from tests.models.golden_steps import decays, gradients, rate_of, run_steps

IDS = {"vocab_size": 7, "pad_token_id": 0, "mask_token_id": 1, "base_token_ids": (3, 4, 5, 6), "hidden_size": 16}
LEGACY = {"block": "post_norm", "kernel_size": 9, "dilation_cycle": 6, "dilation_max": 32, "bias": True}
SETTINGS = {
    "convnet_legacy": ConvNetSettings(**IDS, **LEGACY, num_hidden_layers=8, final_norm=False, head_bias=True),
    "gpn_convnet": ConvNetSettings(**IDS, num_hidden_layers=9, intermediate_size=24),
    "gpn_bytenet_slim": ConvNetSettings(
        **IDS, num_hidden_layers=9, block="bytenet", intermediate_size=8, embedding="learned", head_transform="none"
    ),
}
KEYS = {"convnet_legacy": GPN_LEGACY_KEYS, "gpn_convnet": GPN_KEYS, "gpn_bytenet_slim": GPN_BYTENET_KEYS}
ADAMW = Optimizer(lr=1e-3, weight_decay=0.01)
BACKBONES = tuple(SETTINGS)


@pytest.fixture(scope="module")
def meta(golden):
    return {name: json.loads((golden / name / "meta.json").read_text()) for name in ("gpn", "gpn_train")}


@pytest.fixture(scope="module")
def forward(golden):
    return {name: torch.from_numpy(value) for name, value in np.load(golden / "gpn" / "io.npz").items()}


@pytest.fixture(scope="module")
def train(golden):
    files = ("weights", "io", "grads_weight0.1", "trajectory")
    return {name: load_file(golden / "gpn_train" / f"{name}.safetensors") for name in files}


def under(prefix: str, tensors: dict) -> dict:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def build(backbone: str, published: dict) -> LanguageModel:
    model = LanguageModel.build(SETTINGS[backbone])
    model.load_state_dict(our_tensors(KEYS[backbone], published))
    return model.eval()


def packed(ids: torch.Tensor) -> PackedBatch:
    return PackedBatch.pack(ids.long().flatten(), [ids.shape[1]] * len(ids))


def weighted_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Numerator and denominator of a masked loss with a weight per position, as objectives make them."""
    flat = labels.flatten().numpy()
    positions = np.flatnonzero(flat != -100)
    targets = class_targets(positions, flat[positions], weight=weights.flatten().numpy()[positions])
    arrays = {name: torch.from_numpy(array) for name, array in targets.arrays.items()}
    return class_loss(logits[arrays["index"]], arrays).loss, targets.denominator


@pytest.fixture(params=BACKBONES)
def backbone(request) -> str:
    return request.param


def test_hidden_states_and_logits_equal_upstreams(backbone, forward, golden, meta):
    model = build(backbone, load_file(golden / "gpn" / f"{backbone}.safetensors"))
    assert sum(p.numel() for p in model.parameters()) == meta["gpn"]["variants"][backbone]["n_params"]
    with torch.no_grad():
        output = model.encoder(packed(forward["input_ids"]), return_states=True)
        logits = model.logits(output.hidden)
    expected = forward[f"{backbone}/hidden"].flatten(0, 1)
    torch.testing.assert_close(output.hidden, expected, atol=2e-5, rtol=0)
    torch.testing.assert_close(logits, forward[f"{backbone}/logits"].flatten(0, 1), atol=2e-5, rtol=0)
    assert len(output.states) == SETTINGS[backbone].num_hidden_layers + 1
    assert torch.equal(output.states[-1], output.hidden)


def test_dilations_equal_upstreams(backbone, meta):
    settings = SETTINGS[backbone]
    expected = meta["gpn"]["variants"][backbone]["dilation_schedule"]
    assert [settings.dilation_of(layer) for layer in range(settings.num_hidden_layers)] == expected


def test_losses_equal_upstreams_for_every_repeat_weight(backbone, forward, golden, meta):
    model = build(backbone, load_file(golden / "gpn" / f"{backbone}.safetensors"))
    with torch.no_grad():
        logits = model(packed(forward["input_ids"]))
    losses = meta["gpn"]["variants"][backbone]["loss"]
    for weight in (0.1, 0.01, 0.0):
        weights = torch.where(forward["is_lower"], weight, 1.0)
        above, below = weighted_loss(logits, forward["labels"], weights)
        assert float(above / below) == pytest.approx(losses[f"soft_masked_weight_{weight}"], abs=1e-5)
    above, below = weighted_loss(logits, forward["labels"], torch.ones(logits.shape[0]))
    assert float(above / below) == pytest.approx(losses["unweighted"], abs=1e-5)


def test_numerators_denominators_and_gradients_equal_upstreams(backbone, train, meta):
    model, files = build(backbone, under(f"{backbone}/", train["weights"])), train["io"]
    logits = model(packed(files["input_ids"]))
    torch.testing.assert_close(logits, files[f"{backbone}.logits"].flatten(0, 1), atol=2e-5, rtol=0)
    for weight in (1.0, 0.1, 0.01, 0.0):
        weights = torch.where(files["is_lower"], weight, 1.0)
        above, below = weighted_loss(logits, files["labels"], weights)
        expected = meta["gpn_train"]["variants"][backbone][f"weight_{weight}"]
        assert float(above.detach()) == pytest.approx(expected["sum_w_ce"], abs=2e-3)  # 1e-5 of the mean
        assert below == pytest.approx(expected["sum_w"], abs=1e-5)
        assert float((above / below).detach()) == pytest.approx(expected["loss"], abs=1e-5)
        if weight == 0.1:
            (above / below).backward(retain_graph=True)
            expected = our_tensors(KEYS[backbone], under(f"{backbone}/", train["grads_weight0.1"]))
            found = gradients(model)
            assert found.keys() == expected.keys()
            for name, gradient in found.items():
                torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=2e-4, msg=name)


def test_six_steps_of_the_published_optimizer_equal_upstreams(backbone, train, meta):
    model, files = build(backbone, under(f"{backbone}/", train["weights"])), under(f"{backbone}.", train["trajectory"])

    def loss_of(step: int):
        above, below = weighted_loss(
            model(packed(files[f"step{step}.input_ids"])), files[f"step{step}.labels"], files[f"step{step}.loss_weight"]
        )
        return above / below

    rate = rate_of(1e-3, name="constant", warmup_steps=3)
    steps = run_steps(model, [lambda step=step: loss_of(step) for step in range(6)], ADAMW, rate)
    expected = meta["gpn_train"]["trajectory"][backbone]
    assert [rate(step) for step in range(6)] == pytest.approx([step["lr_used"] for step in expected])
    assert steps.losses == pytest.approx([step["loss"] for step in expected], abs=1e-5)
    assert steps.gradient_norms == pytest.approx([step["grad_norm_before_clip"] for step in expected], rel=1e-4)
    final = our_tensors(KEYS[backbone], under("final.", files))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), final[name], atol=1e-5, rtol=0, msg=name)


def test_the_parameters_without_decay_are_upstreams(backbone, meta):
    found = decays(LanguageModel.build(SETTINGS[backbone]), ADAMW)
    undecayed = {KEYS[backbone].to_theirs(name)[0] for name, decay in found.items() if decay == 0.0}
    assert undecayed == set(meta["gpn_train"]["variants"][backbone]["no_decay_parameter_names"])


@pytest.mark.parametrize(
    ("case", "schedule"),
    [
        ("constant_with_warmup warmup 10", {"name": "constant", "warmup_steps": 10}),
        ("cosine warmup 0 total 30", {"name": "cosine", "warmup_steps": 0, "total_steps": 30}),
    ],
)
def test_learning_rates_of_both_phases_equal_upstreams(meta, case, schedule):
    rate, expected = rate_of(1e-3, **schedule), meta["gpn_train"]["schedules"][case]
    assert [rate(step) for step in range(len(expected))] == pytest.approx(expected, abs=1e-12)


def test_first_weights_have_upstreams_deviations(backbone, meta):
    torch.manual_seed(0)
    wide = ConvNetSettings(**{**vars(SETTINGS[backbone]), "hidden_size": 64, "num_hidden_layers": 3})
    model = LanguageModel.build(wide)
    observed = meta["gpn_train"]["variants"][backbone]["init_shape_std"]
    for name, parameter in model.named_parameters():
        if ".conv." in name:  # uniform within 1 / sqrt(fan in)
            expected = (3 * model.get_parameter(name.replace("bias", "weight"))[0].numel()) ** -0.5
        else:
            expected = 0.0 if parameter.ndim == 1 else 0.02
        assert float(parameter.detach().std()) == pytest.approx(expected, rel=0.3), name
        theirs = observed.get(KEYS[backbone].to_theirs(name)[0])
        assert theirs is None or (theirs[1] == 0.0) == (expected == 0.0), name
