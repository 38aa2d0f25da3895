"""The exported MutBERT gives upstream's numbers for ids and rows, and keeps no memory of long inputs."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from pretrain.families import FAMILIES
from pretrain.importing import import_published, read_source

ATOL = 1e-4
SCALINGS = {
    "none": None,
    "linear2": {"type": "linear", "factor": 2.0},
    "dynamic2": {"type": "dynamic", "factor": 2.0},
    "dynamic4": {"type": "dynamic", "factor": 4.0},
}


@pytest.fixture(scope="module")
def oracle(golden: Path) -> dict[str, Tensor]:
    return load_file(golden / "mutbert" / "model_cases.safetensors")


@pytest.fixture(scope="module", params=["eager", "sdpa"])
def implementation(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(implementation: str, mutbert: Path):
    loaded = AutoModelForMaskedLM.from_pretrained(mutbert, trust_remote_code=True, attn_implementation=implementation)
    assert loaded.config._attn_implementation == implementation
    return loaded.eval()


def close(ours: Tensor, theirs: Tensor, mask: Tensor | None = None) -> None:
    if mask is not None:
        ours, theirs = ours[mask.bool()], theirs[mask.bool()]
    torch.testing.assert_close(ours, theirs, atol=ATOL, rtol=0)


@torch.no_grad()
def test_ids_and_one_hot_rows_give_upstreams_numbers(model, oracle: dict[str, Tensor]) -> None:
    ids = oracle["A.input_ids"]
    for inputs in (ids, F.one_hot(ids, 9).float()):
        output = model(inputs, output_hidden_states=True)
        close(output.logits, oracle["A.logits"])
        for layer, hidden in enumerate(output.hidden_states):
            close(hidden, oracle[f"A.hidden.{layer}"])


@torch.no_grad()
def test_soft_rows_padding_and_token_types_give_upstreams_numbers(model, oracle: dict[str, Tensor]) -> None:
    rows, mask = oracle["B.input"], oracle["B.attention_mask"]
    close(model(rows, attention_mask=mask).logits, oracle["B.logits"], mask)
    typed = model(rows, attention_mask=mask, token_type_ids=oracle["B_tt.token_type_ids"])
    close(typed.logits, oracle["B_tt.logits"], mask)


@torch.no_grad()
@pytest.mark.parametrize("scaling", SCALINGS)
def test_rope_scaling_gives_upstreams_numbers_also_after_a_long_input(
    mutbert: Path, implementation: str, oracle: dict[str, Tensor], scaling: str
) -> None:
    options = {} if SCALINGS[scaling] is None else {"rope_scaling": SCALINGS[scaling]}
    model = AutoModelForMaskedLM.from_pretrained(
        mutbert, trust_remote_code=True, attn_implementation=implementation, **options
    ).eval()
    for length in ("S", "L", "S"):  # upstream's dynamic mode answers differently the third time
        mask = oracle[f"{length}.attention_mask"]
        output = model(oracle[f"{length}.input"], attention_mask=mask, output_hidden_states=True)
        close(output.logits, oracle[f"{length}.{scaling}.logits"], mask)
        close(output.hidden_states[-1], oracle[f"{length}.{scaling}.hidden.last"], mask)


def test_an_unknown_rope_scaling_is_refused(mutbert: Path) -> None:
    with pytest.raises(ValueError, match="linear"):
        AutoModel.from_pretrained(mutbert, trust_remote_code=True, rope_scaling={"type": "yarn", "factor": 2.0})


@torch.no_grad()
def test_both_poolers_give_upstreams_numbers(mutbert: Path, oracle: dict[str, Tensor]) -> None:
    rows, mask = oracle["B.input"], oracle["B.attention_mask"]
    model = AutoModel.from_pretrained(mutbert, trust_remote_code=True).eval()
    output = model(rows, attention_mask=mask)
    close(output.last_hidden_state, oracle["B_base.last_hidden"], mask)
    close(output.pooler_output, oracle["B_base.pooler_mean"])
    close(model(rows).pooler_output, oracle["B_base_nomask.pooler_mean"])
    first = AutoModel.from_pretrained(mutbert, trust_remote_code=True, pooler_type="first_token_transform").eval()
    first.pooler.dense.weight.copy_(oracle["cls_pooler.dense.weight"])
    first.pooler.dense.bias.copy_(oracle["cls_pooler.dense.bias"])
    close(first(rows, attention_mask=mask).pooler_output, oracle["B_base.pooler_cls"])


@torch.no_grad()
def test_sequence_classification_gives_upstreams_numbers(mutbert: Path, oracle: dict[str, Tensor]) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(mutbert, trust_remote_code=True, num_labels=3).eval()
    model.classifier.weight.copy_(oracle["classifier.weight"])
    model.classifier.bias.copy_(oracle["classifier.bias"])
    close(model(oracle["B.input"], attention_mask=oracle["B.attention_mask"]).logits, oracle["B_seqcls.logits"])


def test_the_soft_label_loss_and_its_gradients_equal_upstream(model, oracle: dict[str, Tensor]) -> None:
    model.zero_grad()
    output = model(
        oracle["obj.masked_input"],
        attention_mask=oracle["obj.attention_mask"],
        labels=oracle["obj.labels"],
        masked_indices=oracle["obj.masked_indices"],
    )
    torch.testing.assert_close(output.loss.detach(), oracle["obj.loss"].reshape(()), atol=1e-5, rtol=0)
    output.loss.backward()
    stored = [key.removeprefix("obj.grad.") for key in oracle if key.startswith("obj.grad.")]
    assert "bert.embeddings.word_embeddings.weight" in stored
    for name in stored:
        ours = FAMILIES["mutbert"].upstream.to_ours(name)
        assert ours is not None
        parameter = model.get_parameter("mlm_head.decoder.bias" if ours[0] == "mlm_head.bias" else ours[0])
        torch.testing.assert_close(parameter.grad, oracle[f"obj.grad.{name}"], atol=1e-5, rtol=0)


def test_without_trust_the_folder_fails_instead_of_becoming_another_model(mutbert: Path) -> None:
    with pytest.raises(ValueError, match="trust_remote_code"):
        AutoModel.from_pretrained(mutbert, trust_remote_code=False)


def test_the_published_form_with_second_copies_converts_too(golden: Path) -> None:
    source = read_source(golden / "mutbert" / "mlm_weights.safetensors")
    assert "cls.predictions.decoder.weight" in source.tensors
    imported = import_published(source, FAMILIES["mutbert"], {"num_attention_heads": 4})
    assert torch.equal(
        imported.state["encoder.embeddings.word.weight"], source.tensors["cls.predictions.decoder.weight"]
    )
    assert "mlm_head.decoder.weight" not in imported.state
