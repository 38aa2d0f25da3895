"""``model:`` holds every field of an architecture's settings, and no key of it is without effect."""

from dataclasses import fields

import pytest

from pretrain.config import check, known_keys
from pretrain.config.model_choice import choose
from pretrain.errors import PolymeraseError
from pretrain.families import FAMILIES
from pretrain.models.architecture import ARCHITECTURES
from tests.training.corpora import tree


@pytest.fixture
def config(tmp_path):
    """A config whose ``model:`` is given."""

    def checked(**model):
        return check(tree(tmp_path / "run", tmp_path / "corpus") | {"model": model}, "here")

    return checked


@pytest.fixture
def complaint(config):
    """The one line that such a config ends in."""

    def line(**model):
        with pytest.raises(PolymeraseError) as raised:
            config(**model)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    return line


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_field_of_settings_and_options_is_a_key(name):
    entry = ARCHITECTURES[name]
    own = {f"model.{field.name}" for kind in (entry.settings, entry.options) for field in fields(kind)}
    assert own <= set(known_keys())


def test_a_published_model_with_other_switches_is_what_was_asked_for(config):
    family, settings = choose(
        config(family="ernie_rna", position_embedding_type="rotary", mlp="swiglu", pairing_bias=False).model
    )
    published = FAMILIES["ernie_rna"].settings
    assert (settings.position_embedding_type, settings.mlp, settings.pairing_bias) == ("rotary", "swiglu", False)
    assert (settings.hidden_size, settings.layer_norm_eps) == (published.hidden_size, published.layer_norm_eps)
    assert family.name == "ernie_rna"


def test_left_out_it_is_the_published_model(config):
    assert choose(config().model) == (FAMILIES["ernie_rna"], FAMILIES["ernie_rna"].settings)


def test_another_tokenizer_brings_its_ids(config):
    family, settings = choose(config(family="rnaernie2", tokenizer="mutbert").model)
    mutbert = FAMILIES["mutbert"].settings
    for name in ("vocab_size", "pad_token_id", "mask_token_id", "base_token_ids"):
        assert getattr(settings, name) == getattr(mutbert, name)
    assert family.build_tokenizer().name == "mutbert"


def test_nested_settings_are_read_as_such(config):
    scaling = {"type": "dynamic", "factor": 2.0}
    settings = choose(config(family="mutbert", rope_scaling=scaling).model)[1]
    assert vars(settings.rope_scaling) == scaling


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"num_hiden_layers": 2}, "unknown key 'model.num_hiden_layers'; did you mean 'model.num_hidden_layers'?"),
        ({"hidden_size": "64"}, "model.hidden_size: input should be a valid integer, got '64'"),
        ({"hidden_size": 0}, "model.hidden_size: input should be greater than 0, got 0"),
        ({"hidden_size": 10}, "model.hidden_size=10 is not a multiple of model.num_attention_heads=12"),
        (
            {"architecture": "convnet", "family": "gpn_promoter", "intermediate_size": -4},
            "model.intermediate_size: input",
        ),
        ({"family": "evo1_8k", "rope_theta": 0.0}, "model.rope_theta: input should be greater than 0, got 0.0"),
        ({"rope_scaling": {"type": "linear", "factor": 0.0}, "family": "mutbert"}, "model.rope_scaling.factor: input"),
        ({"mlp": "swish"}, "model.mlp: input should be 'gelu'"),
        ({"causal": 1}, "model.causal: input should be a valid boolean, got 1"),
        ({"hidden_dropout_prob": 1.5}, "model.hidden_dropout_prob: input should be less than 1"),
        ({"rope_scaling": {"kind": "linear"}, "family": "mutbert"}, "unknown key 'model.rope_scaling.kind'"),
        ({"dilation_base": 2}, "key 'model.dilation_base' belongs to architecture convnet, this run's is transformer"),
        ({"family": "ernierna"}, "model.family: unknown family 'ernierna'; did you mean 'ernie_rna'?"),
        ({"architecture": "convnt"}, "model.architecture: unknown architecture 'convnt'; did you mean 'convnet'?"),
        ({"family": "ernie_rna", "architecture": "convnet"}, "the family ernie_rna has the architecture transformer"),
        ({"tokenizer": "ernie"}, "unknown tokenizer 'ernie'"),
        ({"architecture": "convnet"}, "needs a tokenizer; set model.tokenizer"),
        ({"architecture": "transformer", "tokenizer": "mutbert"}, "needs every size; set model.hidden_size"),
        ({"pad_token_id": 0}, "model.pad_token_id=0, but its tokenizer has 1; leave the key out"),
        ({"vocab_size": 24}, "model.vocab_size=24, but its tokenizer has 25; leave the key out"),
        ({"rope_theta": 500.0}, "model.rope_theta=500.0 has no effect: position_embedding_type is not rotary"),
        ({"swiglu_beta": "learned"}, "model.swiglu_beta=learned has no effect: mlp is not swiglu"),
        ({"family": "rnaernie", "pairing_memory": "store"}, "model.pairing_memory=store has no effect"),
        (
            {"family": "rnaernie", "pairing_memory": "store", "pairing_scores_dtype": "float16"},
            "has no effect: pairing_bias is false",
        ),
        (
            {"pairing_scores_dtype": "float16"},
            "model.pairing_scores_dtype=float16 with model.pairing_memory=rebuild: only stored scores can have 16 bits",
        ),
        ({"pairing_scores_dtype": "bfloat16"}, "model.pairing_scores_dtype: input should be 'float32' or 'float16'"),
        ({"extend_vocabulary": True}, "model.extend_vocabulary has no effect without model.init_from"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_key(complaint, model, expected):
    assert expected in complaint(**model)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"optimizer__momentum": 0.9}, "optimizer.momentum has no effect with optimizer.name=adamw"),
        ({"optimizer": {"name": "sgd", "eps": 1e-3}}, "optimizer.eps has no effect with optimizer.name=sgd"),
        ({"schedule": {"start_lr": 0.1}}, "schedule.start_lr has no effect without schedule.warmup_steps"),
        (
            {"schedule": {"name": "constant", "min_lr": 0.1}},
            "schedule.min_lr has no effect with schedule.name=constant",
        ),
        (
            {"tracking": {"sinks": ["tensorboard"], "group": "lr"}},
            "tracking.group has no effect without mlflow or wandb",
        ),
        ({"tracking": {"sinks": [], "uri": "sqlite:///x"}}, "tracking.uri has no effect without mlflow"),
        ({"train__keep_every": 5}, "train.keep_every has no effect without train.save_every"),
        ({"train": {"steps": 3, "on_spike": "stop", "spike_deviations": 0}}, "train.on_spike=stop has no effect"),
    ],
)
def test_a_key_without_effect_is_refused(tmp_path, changes, expected):
    values = tree(tmp_path / "run", tmp_path / "corpus", **changes)
    if "start_lr" in values["schedule"]:
        values["schedule"].pop("warmup_steps", None)
    with pytest.raises(PolymeraseError, match=expected.replace(".", r"\.")):
        check(values, "here")
