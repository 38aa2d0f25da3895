"""GPN, HyenaDNA and Evo 1 as families: sizes of the specification, upstream's logits, sizes read from tensors."""

import json

import pytest
from safetensors.torch import load_file

from pretrain.families.check import measure
from pretrain.families.evo1 import EVO1
from pretrain.families.gpn import GPN
from pretrain.families.hyenadna import HYENADNA
from pretrain.families.published import parameter_count
from pretrain.importing.match import match
from pretrain.importing.sizes import settings_from
from pretrain.tokenizers import build_tokenizer

EVERY = pytest.mark.parametrize("family", [*GPN, *HYENADNA, *EVO1], ids=lambda family: family.name)


@EVERY
def test_parameters_equal_the_specification(family):
    assert parameter_count(family.settings, family.heads) == family.parameters


@EVERY
def test_small_models_give_upstreams_logits(family, golden):
    measured = measure(family, golden)
    assert measured.difference <= measured.tolerance


@EVERY
def test_ids_agree_with_the_tokenizer(family):
    tokenizer, settings = build_tokenizer(family.tokenizer), family.settings
    assert (settings.pad_token_id, settings.mask_token_id) == (tokenizer.pad_id, tokenizer.mask_id)
    assert settings.vocab_size >= len(tokenizer.vocab)  # HyenaDNA fills up 12 tokens to 16 rows
    assert [tokenizer.vocab[i].upper() for i in settings.base_token_ids] == list("ACGT")


@pytest.mark.parametrize(
    ("family", "file", "case"),
    [
        (GPN[0], "gpn/convnet_legacy", "convnet_legacy"),
        (GPN[1], "gpn/gpn_convnet", "gpn_convnet"),
        (GPN[2], "gpn/gpn_bytenet_slim", "gpn_bytenet_slim"),
        (EVO1[0], "evo1/weights", None),
    ],
)
def test_sizes_come_from_tensors_and_the_releases_config(family, file, case, golden):
    """Also where that config.json says what its own code does not read (eps 1e-12, an inner width of 2048)."""
    meta = json.loads((golden / file.partition("/")[0] / "meta.json").read_text())
    config = meta["config"] if case is None else meta["variants"][case]["config"]
    state = match(family.upstream, load_file(golden / f"{file}.safetensors")).state
    found = settings_from(family, state, config, {}, "weights")
    assert found.hidden_size == config["hidden_size"]
    if case is None:
        assert (found.attention_layers, found.intermediate_size, found.num_attention_heads) == ((1,), 96, 4)
    else:
        assert found.layer_norm_eps == 1e-5
        assert [found.dilation_of(i) for i in range(found.num_hidden_layers)] == meta["variants"][case][
            "dilation_schedule"
        ]
    if case == "gpn_bytenet_slim":
        assert found.intermediate_size == 8


def test_the_length_of_a_filter_has_to_be_stated(golden):
    family, state = HYENADNA[0], match(HYENADNA[0].upstream, load_file(golden / "hyenadna/weights.safetensors")).state
    assert settings_from(family, state, {"max_seq_len": 130}, {}, "weights").max_position_embeddings == 130
    with pytest.raises(Exception, match="max_position_embeddings cannot be seen from the tensors"):
        settings_from(family, state, {"vocab_size": 12}, {}, "weights")
