"""A wrong config ends in one line that names the key, what is wrong and what is near."""

import pytest
import yaml

from pretrain.config import check, known_keys, load_config, notes
from pretrain.errors import PolymeraseError
from tests.training.corpora import tree


@pytest.fixture
def whole(tmp_path):
    return tree(tmp_path / "run", tmp_path / "corpus")


@pytest.fixture
def complaint(tmp_path, whole):
    """The one line that a config with some settings on the command line ends in."""

    def line(*words: str) -> str:
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(whole))
        with pytest.raises(PolymeraseError) as raised:
            load_config(str(path), list(words))
        text = str(raised.value)
        assert "\n" not in text
        return text

    return line


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("train.step=5", "unknown key 'train.step'; did you mean 'train.steps'?"),
        ("hidden_size=5", "unknown key 'hidden_size'; did you mean 'model.hidden_size'?"),
        ("optimizer.warmup_steps=5", "unknown key 'optimizer.warmup_steps'; did you mean 'schedule.warmup_steps'?"),
        ("modle.family=x", "unknown key 'modle'; did you mean 'model'?"),
        ("masking.mask_frac=0.5", "unknown key 'masking.mask_frac'; did you mean 'masking.mask_fraction'?"),
        ("masking.max_length=5", "key 'masking.max_length' does not belong to masking.strategy=base"),
        ("corpus.extra=[{path: x, weigth: 2}]", "'corpus.extra.0.weigth'; did you mean 'corpus.extra.0.weight'?"),
        (
            "masking={strategy: mixture, parts: [{strategy: base}, {strategy: span, rat: 1}]}",
            "unknown key 'masking.parts.1.rat'; did you mean 'masking.parts.1.rate'?",
        ),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_one(complaint, word, expected):
    assert expected in complaint(word)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("train.steps='5'", "train.steps: input should be a valid integer, got '5'"),
        ("train.steps=5.0", "train.steps: input should be a valid integer, got 5.0"),
        ("train.steps=0", "train.steps: input should be greater than 0, got 0"),
        (
            "tracking.mlflow=1",
            "tracking: expected sinks, for example [mlflow, tensorboard], got mlflow; leave mlflow out",
        ),
        ("optimizer.lr=fast", "optimizer.lr: input should be a valid number, got 'fast'"),
        ("optimizer.lr=.nan", "optimizer.lr: input should be a finite number, got nan"),
        ("optimizer.lr=.inf", "optimizer.lr: input should be a finite number, got inf"),
        ("optimizer.betas=[0.9]", "'optimizer.betas.1' is missing"),
        ("optimizer.betas=[0.9, 1.0]", "optimizer.betas.1: input should be less than 1, got 1.0"),
        ("tracking.sinks=[mlflow, mlflow]", "tracking.sinks: expected each of them once"),
        ("run.dir=", "run.dir is empty; give it a value"),
        ("run.dir=' '", "run.dir is empty; give it a value"),
        ("corpus.extra=[{path: ''}]", "corpus.extra.0.path is empty; give it a value"),
        ("corpus.extra=[{path: x}, {path: ' ', weight: 2}]", "corpus.extra.1.path is empty"),
        ("objectives.causal_lm.ignored_tokens=[N, '']", "objectives.causal_lm.ignored_tokens.1 is empty"),
        ("train.phases=[{steps: 5, corpus: {crop: ''}}]", "train.phases.0.corpus.crop is empty"),
        ("optimizer.lr=0", "optimizer.lr: input should be greater than 0, got 0"),
        ("optimizer.momentum=1.0", "optimizer.momentum: input should be less than 1, got 1.0"),
        ("engine.port=70000", "engine.port: input should be less than or equal to 65535, got 70000"),
        (
            "masking={strategy: mixture, parts: [{strategy: base, weight: .inf}]}",
            "masking.parts.0.weight: input should be a finite number, got inf",
        ),
        ("model.hidden_dropout_prob=1.0", "model.hidden_dropout_prob: input should be less than 1, got 1.0"),
        ("model.layer_norm_eps=0.0", "model.layer_norm_eps: input should be greater than 0, got 0.0"),
        ("model.initializer_range=0", "model.initializer_range: input should be greater than 0, got 0"),
        ("model.max_position_embeddings=0", "model.max_position_embeddings: input should be greater than 0, got 0"),
        (
            "optimizer.name=lion",
            "optimizer.name: input should be 'adamw', 'adamw_fairseq', 'adam', 'sgd' or 'muon', got 'lion'",
        ),
        ("engine.zero_stage=4", "engine.zero_stage: input should be 0, 1, 2 or 3, got 4"),
        ("run.dir=7", "run.dir: expected a text, got what YAML reads as 7; write it in quotes: 'run.dir=\"…\"'"),
        ("tracking.group=12e45", "tracking.group: expected a text, got what YAML reads as 1.2e+46; write it in quotes"),
        ("run.dir=$HOME/x", "run.dir: variables of the shell are not replaced in a config, got '$HOME/x'"),
        ("corpus.extra=[{path: '${DATA}/x'}]", "corpus.extra.0.path: variables of the shell are not replaced"),
        ("train.steps=1:30", "train.steps: input should be a valid integer, got '1:30'"),
        ("model=3", "model: input should be a valid dictionary"),
        ("masking=3", "masking: input should be a valid dictionary"),
        ("masking.strategy=words", "masking.strategy: Input tag 'words'"),
        ("masking.rate=2", "masking.rate: input should be less than or equal to 1, got 2"),
        ("masking.keep_fraction=0.5", "masking: mask_fraction + random_fraction + keep_fraction must be 1, not 1.4"),
        ("objectives.structure.label_shift=1", "objectives.structure.label_shift: input should be -1 or 0, got 1"),
        ("quirks=both", "quirks: input should be 'fixed', 'upstream' or 'applied', got 'both'"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_its_key(complaint, word, expected):
    assert expected in complaint(word)


@pytest.mark.parametrize("word", ["train.steps", "=5", "train..steps=5", "train.steps=[5", "5=5", "train.steps = 5"])
def test_a_setting_that_cannot_be_read_is_shown(complaint, word):
    assert word.partition("=")[0].strip() in complaint(word)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["batch.tokens=null"], "set batch.tokens or batch.sequences"),
        (["objectives.mlm=null"], "objectives: expected at least one"),
        (["engine.offload_param=cpu"], "engine.offload_param=cpu needs engine.zero_stage=3"),
        (
            ["engine.offload_optimizer=cpu", "engine.zero_stage=0"],
            "engine.offload_optimizer=cpu needs engine.zero_stage",
        ),
        (["optimizer.lr=1e-4", "schedule.min_lr=1e-3"], "schedule.min_lr=0.001 is above optimizer.lr=0.0001"),
        (
            ["schedule.warmup_steps=2", "optimizer.lr=1e-4", "schedule.start_lr=1e-3"],
            "schedule.start_lr=0.001 is above optimizer.lr=0.0001",
        ),
        (["corpus.temperature=0.5"], "corpus.temperature has no effect"),
        (["quirks=upstream", "model=3"], "model: input should be a valid dictionary"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(complaint, words, expected):
    assert expected in complaint(*words)


def test_a_missing_key_is_named(whole):
    del whole["train"]["steps"]
    with pytest.raises(PolymeraseError, match=r"here: key 'train\.steps' is missing; set it .* train\.steps=VALUE"):
        check(whole, "here")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train: {steps: 1}\ntrain: {steps: 2}\n", "key 'train' is written twice"),
        ("train: {steps: 1, steps: 2}\n", "key 'steps' is written twice"),
        ("train: [1\n", "not valid YAML"),
        ("- 1\n", "expected a mapping of sections, got list"),
        ("", "expected a mapping of sections, got NoneType"),
        ("base: run.yaml\n", "base: refers back to this file"),
        ("base: gone.yaml\n", "base: gone.yaml does not exist"),
        ("model: !!python/object/apply:os.system [id]\n", "not valid YAML"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path, text, expected):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(PolymeraseError) as raised:
        load_config(str(path))
    assert expected in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_circle_of_bases_is_noticed(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b.yaml\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\n")
    with pytest.raises(PolymeraseError, match="refers back to this file"):
        load_config(str(tmp_path / "a.yaml"))


def test_bytes_that_are_no_text_are_noticed(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolymeraseError, match="not valid YAML"):
        load_config(str(tmp_path / "a.yaml"))


def test_keys_that_others_rely_on_exist():
    promised = """run.dir run.seed corpus.path model.init_from train.steps train.save_every train.eval_every
        train.log_every batch.tokens batch.sequences batch.accumulation engine.zero_stage engine.precision
        optimizer.name optimizer.lr optimizer.weight_decay schedule.name schedule.warmup_steps model.hidden_size
        model.num_hidden_layers model.num_attention_heads model.intermediate_size model.max_position_embeddings
        model.hidden_dropout_prob model.attention_probs_dropout_prob"""
    assert set(promised.split()) <= set(known_keys())


def test_what_is_allowed_but_rarely_meant_is_said(whole):
    assert not notes(check(whole, "test"))
    whole["schedule"] = {"warmup_steps": 20, "total_steps": 10}
    assert [note.split(" ")[0] for note in notes(check(whole, "test"))] == [
        "schedule.warmup_steps=20",
        "schedule.total_steps=10",
    ]
    whole["schedule"] = {}
    for steps, every, patience, before in ((50, 20, 3, 2), (81, 20, 3, None), (80, 20, 3, 3), (50, 0, 0, None)):
        whole["train"] = {"steps": steps, "eval_every": every, "patience": patience}
        found = [note for note in notes(check(whole, "test")) if "train.patience=3 cannot end this run early" in note]
        assert [f"there are {before} evaluations before its last step" in note for note in found] == [True] * len(found)
        assert len(found) == (before is not None)
    whole["schedule"] = {"name": "wsd", "warmup_steps": 3, "decay_steps": whole["train"]["steps"] - 3}
    assert not notes(check(whole, "test"))
    whole["schedule"]["warmup_steps"] = 4
    (note,) = notes(check(whole, "test"))
    assert "the rate falls at once when the warm-up ends" in note
