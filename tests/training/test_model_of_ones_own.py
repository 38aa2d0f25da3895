"""Any combination of settings in a YAML is a run: it trains, resumes, is evaluated and exported as what it is."""

from pathlib import Path

import pytest
import torch
import yaml

from pretrain.config.model_choice import family_of
from pretrain.evaluation.held_out import score
from pretrain.evaluation.model import load_model
from pretrain.exporting import CardFacts, export_model
from pretrain.importing import load_pretrained_state
from pretrain.runs.checkpoint import WEIGHTS, find_checkpoint, read_tensors
from tests.training.corpora import tree
from tests.training.ranks import Job, finish, losses, start

MODELS = {
    # a published model with switches of others
    "switched": {
        "family": "ernie_rna", "position_embedding_type": "rotary", "mlp": "swiglu", "pairing_bias": False,
        "norm": "rms", "head_tied": False, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24, "max_position_embeddings": 64,
    },
    # a published model over another vocabulary
    "other letters": {
        "family": "rnaernie2", "tokenizer": "mutbert", "hidden_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 64,
    },
    # no published model at all
    "convolutions": {
        "architecture": "convnet", "tokenizer": "ernie_rna", "hidden_size": 32, "num_hidden_layers": 2,
        "intermediate_size": 24, "max_position_embeddings": 64, "family": None,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory, corpora) -> Path:
    """Each model twice: six steps in one go, and three steps with three more after a restart."""
    folder, jobs = tmp_path_factory.mktemp("own"), []
    for name, model in MODELS.items():
        for run, stops in ((name, (6,)), (f"{name} resumed", (3, 6))):
            for stop in stops:
                values = tree(folder / run, corpora["plain"], train__steps=stop, schedule__total_steps=6)
                jobs.append(Job(values | {"model": model}))
    finish(start(1, jobs, folder), folder)
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_a_run_goes_on_as_if_it_had_never_stopped(runs, name):
    failed = [path.read_text() for path in runs.glob(f"{name}*/failed.txt")]
    assert not failed, failed[0]
    assert losses(runs / f"{name} resumed") == losses(runs / name)


@pytest.mark.parametrize("name", MODELS)
def test_the_saved_config_says_everything_the_model_is_made_of(runs, name):
    said = yaml.safe_load((runs / name / "config.yaml").read_text())["model"]
    for key, value in vars(load_model(str(runs / name)).settings).items():
        assert said[key] == (list(value) if isinstance(value, tuple) else value), key
    assert said["tokenizer"] == MODELS[name].get("tokenizer", MODELS[name]["family"])


@pytest.mark.parametrize("name", MODELS)
def test_held_out_losses_are_those_of_its_own_weights(runs, corpora, name):
    figures = score(str(runs / name), str(corpora["plain"]), [], 8, details=False)["objectives"]["mlm"]
    assert 0 < figures["loss"] < 20


@pytest.mark.parametrize("name", MODELS)
def test_an_export_comes_back_as_the_same_model(runs, tmp_path, name):
    model = load_model(str(runs / name))
    state = read_tensors(find_checkpoint(runs / name), WEIGHTS)
    export_model(state, model.family, model.settings, tmp_path / "export", CardFacts(origin="A test."))
    family, settings, again = load_pretrained_state(tmp_path / "export")
    assert settings == model.settings
    assert family.build_tokenizer().vocab == model.tokenizer.vocab
    assert all(torch.equal(again[key], tensor) for key, tensor in state.items())
    assert family_of_name(runs / name) == family.name


def family_of_name(run: Path) -> str:
    from pretrain.config import load_config

    config = load_config(str(run / "config.yaml"))
    return family_of(config.model, load_model(str(run)).settings).name
