"""HyenaDNA on the outputs of upstream's own code (tests/golden/hyenadna), within its tolerances."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from data_prep.corpus.ragged import offsets_of
from pretrain.config.sections import CausalLm, Optimizer
from pretrain.errors import PolymeraseError
from pretrain.families.hyenadna import (
    HYENADNA,
    HYENADNA_CHECKPOINTED_KEYS,
    HYENADNA_HUB_KEYS,
    HYENADNA_TRAINING_KEYS,
    hub_tensors,
)
from pretrain.families.published import our_tensors
from pretrain.importing.match import check, match
from pretrain.models import LanguageModel, PackedBatch
from pretrain.models.hyena.filters import position_features, window
from pretrain.models.hyena.settings import HyenaSettings
from pretrain.objectives.base import ObjectiveContext, Outputs
from pretrain.objectives.causal_lm import CausalLmObjective
from pretrain.objectives.view import SampleView
from pretrain.tokenizers import TokenBatch
from pretrain.tokenizers.hyenadna import VOCAB as TOKENS
from tests.models.golden_steps import decays, gradients, rate_of, run_steps

(FAMILY, *_) = HYENADNA
PAD, N, VOCAB = 4, 11, 16
SETTINGS = HyenaSettings(
    vocab_size=VOCAB,
    hidden_size=32,
    num_hidden_layers=2,
    intermediate_size=128,
    max_position_embeddings=130,
    pad_token_id=PAD,
    mask_token_id=3,
    filter_shift=0.0,
    embedding_dropout_prob=0.0,
)
ADAMW = Optimizer(lr=6e-4, weight_decay=0.1, decay="all_but_filters")
CASES = ("single_5", "single_64", "single_130", "batch")
SHIFTS = ("0.00", "0.05")


@pytest.fixture(scope="module")
def files(golden):
    names = ("weights", "filters", "io", "grads_shift0_all_positions", "trajectory")
    return {name: load_file(golden / "hyenadna" / f"{name}.safetensors") for name in names}


@pytest.fixture(scope="module")
def meta(golden):
    return json.loads((golden / "hyenadna" / "meta.json").read_text())


@pytest.fixture(scope="module")
def build(files):
    def model(shift: str = "0.00") -> LanguageModel:
        built = LanguageModel.build(replace(SETTINGS, filter_shift=float(shift)))
        built.load_state_dict(our_tensors(HYENADNA_HUB_KEYS, files["weights"]))
        return built.eval()

    return model


def packed(ids: torch.Tensor) -> PackedBatch:
    return PackedBatch.pack(ids.flatten(), [ids.shape[1]] * len(ids))


def case_ids(files, case: str) -> torch.Tensor:
    return files["io"]["batch_input" if case == "batch" else case]


def test_features_and_window_equal_upstreams(files):
    cpu = torch.device("cpu")
    features, expected = position_features(SETTINGS, cpu), files["filters"]
    torch.testing.assert_close(features, expected["pos_emb_z"], atol=2e-6, rtol=0)
    torch.testing.assert_close(features[:, :1], expected["pos_emb_t"], atol=2e-6, rtol=0)
    torch.testing.assert_close(window(SETTINGS, cpu, 130).T, expected["window_shift0"], atol=2e-6, rtol=0)


@pytest.mark.parametrize("shift", SHIFTS)
def test_filters_equal_upstreams_and_a_shorter_one_is_a_prefix(files, build, shift):
    for number, layer in enumerate(build(shift).encoder.layers):
        with torch.no_grad():
            whole, part = layer.mixer.filter(130), layer.mixer.filter(17)
        torch.testing.assert_close(whole.T, files["filters"][f"k_layer{number}_shift{shift}"], atol=2e-6, rtol=0)
        torch.testing.assert_close(part, whole[:, :17], atol=1e-7, rtol=0)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("case", CASES)
def test_logits_equal_upstreams_for_both_window_shifts(files, build, case, shift):
    with torch.no_grad():
        logits = build(shift)(packed(case_ids(files, case)))
    expected = files["io"][f"shift{shift}.{case}.logits"].flatten(0, 1)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


def test_operators_states_and_hidden_states_equal_upstreams(files, build):
    model, io = build(), files["io"]
    batch = packed(io["single_64"])
    with torch.no_grad():
        output = model.encoder(batch, return_states=True)
        for number, layer in enumerate(model.encoder.layers):
            given = io[f"shift0.00.single_64.mixer{number}.in"][0]
            made = layer.mixer(given, batch.sequence_layout)
            torch.testing.assert_close(layer.mixer_norm(output.states[number]), given, atol=1e-4, rtol=0)
            torch.testing.assert_close(made, io[f"shift0.00.single_64.mixer{number}.out"][0], atol=1e-4, rtol=0)
        before, mlp = (io[f"shift0.00.single_64.block0.{name}"][0] for name in ("residual_before_mlp_add", "mlp_out"))
    torch.testing.assert_close(output.states[1], before + mlp, atol=1e-4, rtol=0)
    torch.testing.assert_close(output.hidden, io["shift0.00.single_64.final_hidden"][0], atol=1e-4, rtol=0)


def causal_loss(model: LanguageModel, ids: torch.Tensor, ignored: list[str]) -> tuple[torch.Tensor, float]:
    """Sum and number of targets of ids (S, T), as the objective makes them."""
    flat, lengths = ids.flatten().numpy(), np.full(len(ids), ids.shape[1])
    tokens = TokenBatch(flat.astype(np.int32), offsets_of(lengths), np.ones(len(flat), bool))
    none = np.zeros(0, np.int64)
    view = SampleView(None, tokens, None, np.repeat(np.arange(len(ids)), lengths), none)
    objective = CausalLmObjective(CausalLm(ignored_tokens=ignored), ObjectiveContext(hidden_size=32, vocabulary=TOKENS))
    targets, hidden = objective.targets(view), model.encoder(packed(ids)).hidden
    outputs = Outputs(hidden, lambda index: model.logits(hidden[index]))
    arrays = {name: torch.from_numpy(array) for name, array in targets.arrays.items()}
    return objective.loss(outputs, None, arrays).loss, targets.denominator


@pytest.mark.parametrize("shift", SHIFTS)
def test_the_four_losses_equal_upstreams(files, meta, build, shift):
    ids, model = files["io"]["batch_ids"], build(shift)
    for start, given in (("", ids), ("replace_N_by_pad_", torch.where(ids == N, PAD, ids))):
        for name, ignored in (("all_positions", []), ("ignore_pad", ["[PAD]"])):
            expected = meta["losses"][f"shift{shift}/{start}{name}"]
            with torch.no_grad():
                total, count = causal_loss(model, given, ignored)
            assert count == expected["count"]
            assert float(total / count) == pytest.approx(expected["loss"], abs=1e-5)


def test_gradients_equal_upstreams(files, meta, build):
    model = build()
    total, count = causal_loss(model, files["io"]["batch_ids"], [])
    (total / count).backward()
    found = gradients(model)
    expected = our_tensors(HYENADNA_HUB_KEYS, files["grads_shift0_all_positions"])
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=2e-4, msg=name)
    norm = torch.stack([gradient.norm() for gradient in found.values()]).norm()
    assert float(norm) == pytest.approx(meta["losses"]["shift0.00/all_positions/grad_norm"], rel=2e-4)


def test_optimizer_groups_are_upstreams(meta):
    found = decays(LanguageModel.build(SETTINGS), ADAMW)
    groups = {group["weight_decay"]: set(group["names"]) for group in meta["param_groups"]}
    for decay, names in groups.items():
        ours = {HYENADNA_TRAINING_KEYS.to_theirs(name)[0] for name, value in found.items() if value == decay}
        assert ours == {name.removeprefix("model.") for name in names}


@pytest.mark.parametrize("warmup", [5, 0.5])
def test_learning_rates_equal_upstreams(meta, warmup):
    expected = meta["lr_schedule"][f"t_initial=50,warmup_t={warmup},lr=6e-4,lr_min=6e-5,warmup_lr_init=1e-6"]
    rate = timm_rate(-(-warmup // 1))  # half a step covers step 0 like a whole one
    assert len(expected) == 55
    assert [rate(step) for step in range(55)] == pytest.approx(expected, abs=1e-12)


def timm_rate(warmup: float):
    return rate_of(6e-4, name="cosine_from_start", warmup_steps=int(warmup), total_steps=50, start_lr=1e-6, min_lr=6e-5)


def test_six_steps_equal_upstreams(files, meta, build):
    model, batches = build(), files["trajectory"]["batch_ids"]

    def loss_of(ids: torch.Tensor) -> torch.Tensor:
        total, count = causal_loss(model, ids, [])
        return total / count

    rate, expected = timm_rate(3), meta["trajectory"]
    steps = run_steps(model, [lambda ids=ids: loss_of(ids) for ids in batches], ADAMW, rate)
    assert [rate(step) for step in range(6)] == pytest.approx([step["lr_used_per_group"][0] for step in expected])
    assert steps.losses == pytest.approx([step["loss"] for step in expected], abs=1e-5)
    assert steps.gradient_norms == pytest.approx([step["grad_norm_before_clip"] for step in expected], rel=2e-4)
    final = {key.removeprefix("final."): t for key, t in files["trajectory"].items() if key.startswith("final.")}
    final = our_tensors(HYENADNA_HUB_KEYS, final)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), final[name], atol=1e-5, rtol=0, msg=name)


def test_a_sequence_longer_than_the_filter_is_one_clear_error(build):
    with pytest.raises(PolymeraseError, match="131 tokens is longer than the filter of 130"):
        build()(packed(torch.full((1, 131), 7)))


def test_every_published_layout_is_read_whole(files):
    weights = files["weights"]
    training = {key.removeprefix("hyena."): tensor for key, tensor in weights.items()}
    inserted = {
        key.replace(".mixer.", ".mixer.layer.").replace(".mlp.", ".mlp.layer."): t for key, t in training.items()
    }
    three = weights | {
        key.replace(".1.freq", f".{sine}.freq"): t for key, t in weights.items() if "freq" in key for sine in (3, 5)
    }
    lightning = {f"model.{key}": tensor for key, tensor in training.items() if key != "lm_head.weight"}
    for layout, tensors in (
        (HYENADNA_HUB_KEYS, weights),
        (HYENADNA_HUB_KEYS, three),
        (HYENADNA_TRAINING_KEYS, lightning),
        (HYENADNA_CHECKPOINTED_KEYS, inserted),
    ):
        matched = match(layout, tensors)
        check(matched, FAMILY, SETTINGS, "weights")
        assert not matched.unexpected


def test_the_published_layout_is_written_as_it_is_read(files):
    written = hub_tensors(SETTINGS, our_tensors(HYENADNA_HUB_KEYS, files["weights"]))
    assert written.keys() == files["weights"].keys()
    for name, tensor in files["weights"].items():
        constant = ".pos_emb." in name or ".deltas" in name
        torch.testing.assert_close(written[name], tensor, atol=2e-6 if constant else 0, rtol=0)


def test_first_weights_have_upstreams_deviations(meta):
    torch.manual_seed(0)
    model = LanguageModel.build(replace(SETTINGS, hidden_size=64, intermediate_size=256))
    for name, parameter in model.named_parameters():
        theirs = meta["init_std_observed"].get(HYENADNA_TRAINING_KEYS.to_theirs(name)[0])
        if theirs is not None:  # of few values, hence the wide bounds
            assert float(parameter.detach().std()) == pytest.approx(theirs["std"], rel=0.35, abs=1e-9), name
