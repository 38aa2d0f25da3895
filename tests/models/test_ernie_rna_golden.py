"""ERNIE-RNA on the outputs of upstream's own code (tests/golden/ernie_rna), with the tolerances of its README."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from pretrain.families import FAMILIES
from pretrain.families.published import our_tensors, published_model
from pretrain.models import PackedBatch, side_inputs_of
from pretrain.models.padded import Unpadded, unpad
from pretrain.models.transformer.recurrent.pairing import PAIR_VALUES, pair_class_table, pair_classes
from pretrain.tokenizers import TOKENIZERS

FAMILY = FAMILIES["ernie_rna"]
PAD = 1
SETTINGS = replace(
    FAMILY.settings,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=64,
)
CASES = ("single", "padded", "masked", "gapped", "pretrain")


@pytest.fixture(scope="module")
def files(golden):
    return {
        name: load_file(golden / "ernie_rna" / f"{name}.safetensors")
        for name in ("weights", "inputs", "outputs", "grads_pretrain")
    }


@pytest.fixture
def model(files):
    model = published_model(SETTINGS)
    model.load_state_dict(our_tensors(FAMILY.upstream, files["weights"]))
    return model.eval()


@pytest.fixture(scope="module")
def pair_table():
    return pair_class_table(TOKENIZERS["ernie_rna"]().vocab)


def case_batch(files, name: str, pair_table) -> Unpadded:
    inputs = files["inputs"]
    ids = inputs[f"{name}.input_ids"]
    packed = unpad(ids, ids != PAD, side_inputs_of(SETTINGS, TOKENIZERS["ernie_rna"]().vocab))
    if name == "pretrain":  # classes come from the original ids, selected positions set apart
        original = packed.pick(inputs["pretrain.original_ids"]).numpy()
        selected = np.flatnonzero(packed.pick(inputs["pretrain.target"]).numpy() != PAD)
        packed.batch.side["pair_class"] = torch.from_numpy(pair_classes(original, pair_table, selected))
    return packed


@pytest.mark.parametrize("case", CASES)
def test_pair_values_of_classes_equal_upstreams_matrix(files, pair_table, case):
    packed = case_batch(files, case, pair_table)
    upstream = files["inputs"][f"{case}.pair"]
    values = torch.tensor(PAIR_VALUES)
    bounds = packed.batch.cu_seqlens.tolist()
    for row, real in enumerate(packed.real):
        classes = packed.batch.side["pair_class"][bounds[row] : bounds[row + 1]].long()
        assert torch.equal(values[classes][:, classes], upstream[row][real][:, real])


@pytest.mark.parametrize("case", CASES)
def test_hidden_states_and_logits_equal_upstream(files, model, pair_table, case):
    packed, outputs = case_batch(files, case, pair_table), files["outputs"]
    with torch.no_grad():
        got = model.encoder(packed.batch, return_states=True)
        logits = model.logits(got.hidden)
    for layer, state in enumerate(got.states):
        torch.testing.assert_close(state, packed.pick(outputs[f"{case}.hidden"][layer]), atol=1e-5, rtol=0)
    torch.testing.assert_close(logits, packed.pick(outputs[f"{case}.logits"]), atol=5e-5, rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_score_maps_equal_upstream(files, model, pair_table, case):
    packed, expected = case_batch(files, case, pair_table), files["outputs"][f"{case}.scores"]
    with torch.no_grad():
        scores = model.encoder(packed.batch, return_extras=True).extras["scores"]
    for row, real in enumerate(packed.real):
        torch.testing.assert_close(scores[row], expected[:, row][:, :, real][..., real], atol=2e-5, rtol=0)


def test_loss_and_gradients_of_a_pretraining_batch_equal_upstream(files, model, pair_table):
    packed, outputs = case_batch(files, "pretrain", pair_table), files["outputs"]
    target = packed.pick(files["inputs"]["pretrain.target"])
    selected = target != PAD
    logits = model.logits(model.encoder(packed.batch).hidden[selected])
    loss = F.cross_entropy(logits, target[selected])
    loss.backward()
    assert loss.item() == pytest.approx(outputs["pretrain.mean_ce_nats"].item(), abs=1e-5)
    assert selected.sum() == outputs["pretrain.n_selected"]
    assert (logits.argmax(1) == target[selected]).sum() == outputs["pretrain.n_correct"]
    expected = our_tensors(FAMILY.upstream, files["grads_pretrain"])
    got = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(
            got[name], gradient, atol=2e-5, rtol=0, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_mask_pairs_with_nothing_unless_it_was_selected(pair_table):
    mask, guanine = 24, 4
    ids = np.array([mask, guanine])
    assert pair_classes(ids, pair_table).tolist() == [0, 3]
    assert pair_classes(ids, pair_table, np.array([0])).tolist() == [5, 3]


def test_a_sequence_gives_the_same_alone_and_in_any_company(files, model, pair_table):
    packed = case_batch(files, "padded", pair_table).batch
    bounds = packed.cu_seqlens.tolist()
    with torch.no_grad():
        together = model(packed)
        for s, length in enumerate(packed.lengths):
            part = slice(bounds[s], bounds[s + 1])
            alone = PackedBatch.pack(
                packed.input_ids[part], [length], side={"pair_class": packed.side["pair_class"][part]}
            )
            torch.testing.assert_close(together[part], model(alone), atol=2e-5, rtol=0)
