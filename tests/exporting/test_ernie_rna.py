"""The exported ERNIE-RNA gives upstream's numbers through transformers, padded and masked cases included."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

CASES = ("single", "padded", "masked", "gapped", "pretrain")


@pytest.fixture(scope="module")
def oracle(golden: Path) -> dict[str, Tensor]:
    files = (golden / "ernie_rna" / f"{name}.safetensors" for name in ("inputs", "outputs"))
    return {key: tensor for file in files for key, tensor in load_file(file).items()}


@pytest.fixture(scope="module", params=["eager", "sdpa"])
def model(request: pytest.FixtureRequest, ernie: Path):
    loaded = AutoModelForMaskedLM.from_pretrained(ernie, trust_remote_code=True, attn_implementation=request.param)
    assert loaded.config._attn_implementation == request.param
    return loaded.eval()


@pytest.mark.parametrize("case", CASES)
def test_hidden_states_scores_and_logits_equal_upstream(model, oracle: dict[str, Tensor], case: str) -> None:
    ids = oracle[f"{case}.input_ids"]
    real = ids != 1
    selected = oracle["pretrain.target"] != 1 if case == "pretrain" else None
    pair = model.encoder.pairing.values(oracle.get(f"{case}.original_ids", ids), real, selected)
    assert torch.equal(pair, oracle[f"{case}.pair"])
    with torch.no_grad():
        output = model(
            ids, attention_mask=real, selected_positions=selected, output_hidden_states=True, output_scores=True
        )
    hidden, scores = torch.stack(output.hidden_states), torch.stack(output.scores)
    torch.testing.assert_close(hidden[:, real], oracle[f"{case}.hidden"][:, real], atol=1e-5, rtol=0)
    torch.testing.assert_close(output.logits[real], oracle[f"{case}.logits"][real], atol=2e-5, rtol=0)
    queries = real[None, :, None, :].expand(len(scores), -1, scores.shape[2], -1)
    torch.testing.assert_close(scores[queries], oracle[f"{case}.scores"][queries], atol=2e-5, rtol=0)


def test_pairs_given_from_outside_replace_those_of_the_sequence(model, oracle: dict[str, Tensor]) -> None:
    with torch.no_grad():
        given = model(oracle["pretrain.input_ids"], pair=oracle["pretrain.pair"]).logits
    real = oracle["pretrain.input_ids"] != 1
    torch.testing.assert_close(given[real], oracle["pretrain.logits"][real], atol=2e-5, rtol=0)


def test_the_loss_of_selected_positions_and_its_gradients_equal_upstream(ernie: Path, golden: Path) -> None:
    model = AutoModelForMaskedLM.from_pretrained(ernie, trust_remote_code=True).eval()
    inputs = load_file(golden / "ernie_rna" / "inputs.safetensors")
    target = inputs["pretrain.target"]
    labels = target.masked_fill(target == 1, -100)
    loss = model(inputs["pretrain.input_ids"], labels=labels, selected_positions=target != 1).loss
    expected = load_file(golden / "ernie_rna" / "outputs.safetensors")["pretrain.mean_ce_nats"]
    torch.testing.assert_close(loss.detach(), expected[0], atol=1e-5, rtol=0)
    loss.backward()
    gradients = load_file(golden / "ernie_rna" / "grads_pretrain.safetensors")
    torch.testing.assert_close(
        model.encoder.embeddings.word.weight.grad,
        gradients["encoder.sentence_encoder.embed_tokens.weight"],
        atol=2e-5,
        rtol=0,
    )
    torch.testing.assert_close(
        model.encoder.pairing.hidden.weight.grad, gradients["encoder.twod_proj.linear1.weight"], atol=2e-5, rtol=0
    )


def test_neighbors_in_a_padded_batch_change_nothing(model) -> None:
    short = torch.tensor([[0, 5, 6, 4, 7, 2]])
    padded = F.pad(short, (0, 9), value=1)
    with torch.no_grad():
        alone = model(short).logits
        together = model(torch.cat([padded, torch.randint(4, 8, (1, 15))])).logits[:1, :6]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_the_pad_row_survives_loading(ernie: Path, golden: Path) -> None:
    row = load_file(golden / "ernie_rna" / "weights.safetensors")["encoder.sentence_encoder.embed_tokens.weight"][1]
    loaded = AutoModel.from_pretrained(ernie, trust_remote_code=True)
    assert torch.equal(loaded.embeddings.word.weight[1].detach(), row)


def test_half_precision_loads_and_keeps_the_pairing_network_exact(ernie: Path, oracle: dict[str, Tensor]) -> None:
    model = AutoModel.from_pretrained(ernie, trust_remote_code=True, dtype=torch.bfloat16).eval()
    ids = oracle["padded.input_ids"]
    with torch.no_grad():
        output = model(ids, output_scores=True)
    assert output.last_hidden_state.dtype == torch.bfloat16
    assert output.scores[0].dtype == torch.float32
    assert torch.isfinite(output.last_hidden_state[ids != 1]).all()


def test_a_classifier_on_top_trains(ernie: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(ernie, trust_remote_code=True, num_labels=3)
    output = model(torch.tensor([[0, 5, 6, 2], [0, 4, 7, 2]]), labels=torch.tensor([0, 2]))
    assert output.logits.shape == (2, 3)
    output.loss.backward()
    assert model.encoder.layers[0].attention.query.weight.grad.abs().sum() > 0
