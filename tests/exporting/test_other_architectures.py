"""The code that travels with convolutions, Hyena and StripedHyena gives upstream's numbers, padded on either side."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from pretrain.exporting import CardFacts, export_model
from pretrain.exporting.form import class_of
from pretrain.exporting.hf_tokenizers import write_tokenizer
from pretrain.exporting.tensors import export_tensors
from pretrain.families.custom import custom_family
from pretrain.families.evo1 import EVO1_KEYS
from pretrain.families.gpn import GPN_BYTENET_KEYS, GPN_KEYS, GPN_LEGACY_KEYS
from pretrain.families.hyenadna import HYENADNA_HUB_KEYS
from pretrain.families.own_code import family_of_config, form_of, own_config
from pretrain.families.published import our_tensors
from pretrain.importing.match import check, match
from pretrain.models import LanguageModel, PackedBatch
from pretrain.models.transformer.settings import RopeScaling
from pretrain.tokenizers import build_tokenizer
from tests.models import test_evo1_golden, test_gpn_golden, test_hyenadna_golden

GPN = {"convnet_legacy": GPN_LEGACY_KEYS, "gpn_convnet": GPN_KEYS, "gpn_bytenet_slim": GPN_BYTENET_KEYS}
EVO = test_evo1_golden.SETTINGS
CASES = {  # settings, layout and file of the golden weights, tokenizer
    **{name: (test_gpn_golden.SETTINGS[name], keys, f"gpn/{name}.safetensors", "gpn") for name, keys in GPN.items()},
    "hyenadna": (test_hyenadna_golden.SETTINGS, HYENADNA_HUB_KEYS, "hyenadna/weights.safetensors", "hyenadna"),
    "evo1": (EVO, EVO1_KEYS, "evo1/weights.safetensors", "bytes"),
    "evo1_131k": (
        replace(EVO, rope_scaling=RopeScaling("linear", 16.0)),
        EVO1_KEYS,
        "evo1/weights.safetensors",
        "bytes",
    ),
}
CAUSAL = ("hyenadna", "evo1", "evo1_131k")
REMOTE = "pretrain.exporting.remote_code"


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return request.param


def ours(case: str, golden: Path) -> LanguageModel:
    settings, keys, file, _ = CASES[case]
    model = LanguageModel.build(settings)
    model.load_state_dict(our_tensors(keys, load_file(golden / file)))
    return model.eval()


def theirs(case: str, golden: Path) -> torch.nn.Module:
    """The traveling class with the tensors that an export would hold."""
    settings, keys, file, tokenizer = CASES[case]
    family = custom_family(settings, tokenizer, {})
    form = form_of(family, settings)
    stem = form.base_class.removesuffix("Model")
    config = getattr(import_module(f"{REMOTE}.configuration_{form.model_type}"), f"{stem}Config")
    kind = getattr(import_module(f"{REMOTE}.modeling_{form.model_type}"), class_of(form, settings, "mlm")[0])
    model = kind(config(**own_config(settings, tuple)))
    tensors = export_tensors(family, settings, our_tensors(keys, load_file(golden / file)), "mlm").model
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected
    assert set(missing) <= {"mlm_head.decoder.weight"}
    model.tie_weights()
    return model.eval()


def sequences(case: str) -> list[Tensor]:
    torch.manual_seed(0)
    low, high = (3, 7) if case in GPN else (7, 12) if case == "hyenadna" else (65, 90)
    return [torch.randint(low, high, (length,)) for length in (40, 17, 5)]


def padded(rows: list[Tensor], pad: int, side: str) -> tuple[Tensor, Tensor]:
    ids, real = torch.full((len(rows), 40), pad), torch.zeros(len(rows), 40, dtype=torch.int64)
    for number, row in enumerate(rows):
        place = slice(40 - len(row), 40) if side == "left" else slice(0, len(row))
        ids[number, place], real[number, place] = row, 1
    return ids, real


@pytest.mark.parametrize("side", ["left", "right"])
def test_it_gives_what_our_model_gives_padded_on_either_side(case, side, golden):
    rows, model = sequences(case), theirs(case, golden)
    ids, real = padded(rows, CASES[case][0].pad_token_id, side)
    with torch.no_grad():
        found = model(ids, attention_mask=real, output_hidden_states=True)
        expected = ours(case, golden)(PackedBatch.pack(torch.cat(rows), [len(row) for row in rows]))
    torch.testing.assert_close(found.logits[real.bool()], expected, atol=5e-5, rtol=0)
    assert len(found.hidden_states) == CASES[case][0].num_hidden_layers + 1


def test_rows_of_probabilities_that_are_one_token_give_what_its_id_gives(case, golden):
    ids, model = sequences(case)[0][None], theirs(case, golden)
    rows = torch.nn.functional.one_hot(ids, CASES[case][0].vocab_size).float()
    with torch.no_grad():
        torch.testing.assert_close(model(rows).logits, model(ids).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", CAUSAL)
def test_it_generates_the_most_likely_tokens_whatever_the_padding(case, golden):
    rows, model, own = sequences(case), theirs(case, golden), ours(case, golden)
    ids, real = padded(rows, CASES[case][0].pad_token_id, "left")
    found = model.generate(ids, attention_mask=real, max_new_tokens=6, do_sample=False, eos_token_id=None)
    for row, made in zip(rows, found[:, 40:], strict=True):
        expected = row
        with torch.no_grad():
            for _ in range(6):
                logits = own(PackedBatch.pack(expected, [len(expected)]))[-1]
                expected = torch.cat([expected, logits.argmax()[None]])
        assert made.tolist() == expected[len(row) :].tolist()


@pytest.mark.parametrize("case", CAUSAL)
def test_labels_are_predicted_from_the_token_before(case, golden):
    ids, model = sequences(case)[0][None], theirs(case, golden)
    with torch.no_grad():
        output = model(ids, labels=ids)
    expected = torch.nn.functional.cross_entropy(output.logits[0, :-1], ids[0, 1:])
    torch.testing.assert_close(output.loss, expected)


def test_an_input_longer_than_the_filter_is_an_error(golden):
    with pytest.raises(ValueError, match="131 tokens is longer than this model's filter of 130"):
        theirs("hyenadna", golden)(torch.full((1, 131), 7))


def test_a_fresh_model_and_a_step_of_fine_tuning_are_finite(case, golden):
    kind = type(theirs(case, golden))
    model = kind(theirs(case, golden).config)
    model.gradient_checkpointing_enable()
    ids = sequences(case)[0][None]
    loss = model.train()(ids, labels=ids).loss
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)


def test_its_config_holds_every_setting(case):
    settings = CASES[case][0]
    config = own_config(settings, tuple)
    assert set(asdict(settings)) - set(config) == {"head_tied"}


@pytest.mark.slow
@pytest.mark.parametrize("case", ["convnet_legacy", "hyenadna", "evo1_131k"])
def test_an_exported_folder_loads_verified_and_comes_back_as_it_was(case, golden, tmp_path):
    settings, keys, file, tokenizer = CASES[case]
    family, state = custom_family(settings, tokenizer, {}), our_tensors(keys, load_file(golden / file))
    report = export_model(state, family, settings, tmp_path / "model", CardFacts(origin="Golden weights."))
    assert report.class_name.endswith("ForCausalLM" if case in CAUSAL else "ForMaskedLM")
    assert {"stack_polymerase.py", "README.md", "tokenizer.json"} <= set(report.files)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert family_of_config(family, config).settings == settings
    matched = match(family_of_config(family, config).hugging_face.keys, load_file(tmp_path / "model/model.safetensors"))
    check(matched, family, settings, "model")
    assert matched.state.keys() == state.keys()
    assert all(torch.equal(matched.state[name], tensor) for name, tensor in state.items())
    card = (tmp_path / "model" / "README.md").read_text()
    assert ("pipeline_tag: text-generation" in card) == ("model.generate(" in card) == (case in CAUSAL)


def test_exported_bytes_are_the_tokenizers(tmp_path):
    tokenizer = build_tokenizer("bytes")
    write_tokenizer(tokenizer, tmp_path, max_length=64)
    exported = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    for text in ("ACGT acgtN@|", "a\nb\t\u00e9\u20ac", "|d__BATT\x7f"):
        assert exported(text)["input_ids"] == tokenizer.encode_text(text).tolist()
        assert exported.decode(exported(text)["input_ids"], skip_special_tokens=True) == text
