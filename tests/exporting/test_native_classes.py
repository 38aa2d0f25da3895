"""Exports to classes that transformers already has: no code of ours in the folder, upstream's numbers out of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    EsmForMaskedLM,
)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@torch.no_grad()
def test_rnaernie_gives_upstreams_numbers(rnaernie: Path, golden: Path, implementation: str) -> None:
    model = AutoModelForMaskedLM.from_pretrained(rnaernie, attn_implementation=implementation).eval()
    assert type(model) is BertForMaskedLM
    inputs, expected = (np.load(golden / "rnaernie" / "tiny_rnaernie" / f"{n}.npz") for n in ("inputs", "expected"))
    mask = torch.from_numpy(inputs["attention_mask"])
    output = model(torch.from_numpy(inputs["input_ids"]), attention_mask=mask, output_hidden_states=True)
    real = mask.bool()
    for layer, hidden in enumerate(output.hidden_states):
        wanted = torch.from_numpy(expected[f"hidden_{layer}"])
        torch.testing.assert_close(hidden[real], wanted[real], atol=2e-5, rtol=0)
    torch.testing.assert_close(output.logits[real], torch.from_numpy(expected["logits"])[real], atol=2e-5, rtol=0)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("masking", ["masked", "unmasked"])
@torch.no_grad()
def test_utr_lm_gives_upstreams_numbers_heads_included(
    utr_lm: Path, golden: Path, implementation: str, masking: str
) -> None:
    model = AutoModelForMaskedLM.from_pretrained(utr_lm, attn_implementation=implementation).eval()
    assert type(model) is EsmForMaskedLM
    oracle = load_file(golden / "utr_lm" / "forward.safetensors")
    ids = oracle["masked_tokens" if masking == "masked" else "tokens"]
    real = ids != 0
    output = model(ids, attention_mask=real.long(), output_hidden_states=True)
    hidden = model.esm(ids, attention_mask=real.long()).last_hidden_state
    heads = load_file(utr_lm / "objective_heads.safetensors")
    found = {
        "hidden_3": hidden,
        "logits_mlm": output.logits,
        "logits_structure": F.linear(
            hidden, heads["heads.structure.linear.weight"], heads["heads.structure.linear.bias"]
        ),
    }
    for name, tensor in found.items():
        torch.testing.assert_close(tensor[real], oracle[f"{masking}.{name}"][real], atol=2e-5, rtol=1e-4)
    energy = F.linear(hidden[:, 0], heads["heads.mfe.linear.weight"], heads["heads.mfe.linear.bias"])
    torch.testing.assert_close(energy, oracle[f"{masking}.pred_mfe"], atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_utrbert_gives_the_logits_of_the_fork_that_adds_its_bias_twice(utrbert: Path, utrbert_upstream: Path) -> None:
    released = torch.load(utrbert_upstream, weights_only=True)
    config = json.loads((utrbert / "config.json").read_text())
    fork = BertForMaskedLM(BertForMaskedLM.config_class(**{k: v for k, v in config.items() if k != "architectures"}))
    fork.load_state_dict({k: v for k, v in released.items() if "pooler" not in k})
    ids = torch.tensor([[2, 17, 80, 200, 4, 90, 3]])
    upstream_logits = fork.eval()(ids).logits + released["cls.predictions.bias"]
    ours = AutoModelForMaskedLM.from_pretrained(utrbert).eval()(ids).logits
    torch.testing.assert_close(ours, upstream_logits, atol=2e-5, rtol=0)


@torch.no_grad()
def test_an_encoder_export_keeps_the_published_pooler_and_drops_the_head(
    utrbert_encoder: Path, utrbert_upstream: Path
) -> None:
    released = torch.load(utrbert_upstream, weights_only=True)
    weights = load_file(utrbert_encoder / "model.safetensors")
    assert {key: tensor.shape for key, tensor in weights.items()} == {
        key.removeprefix("bert."): tensor.shape for key, tensor in released.items() if key.startswith("bert.")
    }
    model, loading = AutoModel.from_pretrained(utrbert_encoder, output_loading_info=True)
    assert type(model) is BertModel
    assert not loading["missing_keys"]
    assert torch.equal(model.pooler.dense.weight, released["bert.pooler.dense.weight"])


@pytest.mark.parametrize("name", ["rnaernie", "utr_lm", "utrbert", "utrbert_encoder"])
def test_a_native_folder_brings_no_model_code(name: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    assert "auto_map" not in json.loads((folder / "config.json").read_text())
    assert {path.name for path in folder.glob("*.py")} <= {"tokenization_kmer.py"}
    assert not (folder / "tokenizer.json").exists() or not list(folder.glob("*.py"))


def test_a_classifier_opens_from_an_encoder_export(utrbert_encoder: Path) -> None:
    model = BertForSequenceClassification.from_pretrained(utrbert_encoder, num_labels=2)
    assert model(torch.tensor([[2, 17, 3]])).logits.shape == (1, 2)
