"""``engine.deepspeed`` holds what the YAML has no key for; what the YAML owns has one owner."""

import json

import pytest

from pretrain.config import check
from pretrain.config.deepspeed_json import OWNED, read_deepspeed_json
from pretrain.errors import PolymeraseError
from pretrain.training.engine import check_deepspeed


def written(tmp_path, tree) -> str:
    path = tmp_path / "ds.json"
    path.write_text(json.dumps(tree))
    return str(path)


def nested(key: str, value) -> dict:
    first, _, rest = key.partition(".")
    return {first: nested(rest, value) if rest else value}


@pytest.mark.parametrize("key", OWNED)
def test_a_key_that_the_yaml_owns_is_refused_with_the_key_that_decides_it(tmp_path, key):
    with pytest.raises(PolymeraseError) as caught:
        read_deepspeed_json(written(tmp_path, nested(key, 4)), 1)
    assert key in str(caught.value)
    assert OWNED[key] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"zero_optimisation": {}}, "did you mean 'zero_optimization'"),
        ({"zero_optimization": {"reduce_bucket_size": "auto"}}, "reduce_bucket_size is 'auto'"),
        ({"flops_profiler": {"enabld": True}}, "did you mean 'flops_profiler.enabled'"),
        (
            {"data_efficiency": {"enabled": True}},
            "data_efficiency has no effect: samples and layers",
        ),
        ({"checkpoint": {"load_universal": True}}, "checkpoint has no effect: checkpoints are not DeepSpeed's here"),
        ({"compile": {"backend": "inductor"}}, "compile has no effect"),
        (
            {"zero_optimization": {"stage3_prefetch_bucket_size": 5}},
            "no effect with engine.zero_stage=1; set",
        ),
        (
            {"zero_optimization": {"zero_hpz_partition_size": 8}},
            "zero_hpz_partition_size has no effect with",
        ),
        ([], "expected a JSON object, got list"),
    ],
)
def test_what_would_be_ignored_or_guessed_is_one_line(tmp_path, tree, message):
    with pytest.raises(PolymeraseError, match=message):
        read_deepspeed_json(written(tmp_path, tree), 1)


def test_keys_of_stage_3_are_taken_in_stage_3(tmp_path):
    tree = {"zero_optimization": {"stage3_prefetch_bucket_size": 5, "zero_hpz_partition_size": 8}}
    assert read_deepspeed_json(written(tmp_path, tree), 3) == tree


def test_a_monitor_whose_package_is_missing_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("pretrain.training.engine.find_spec", lambda name: None)
    run = {"batch": {"tokens": 64}, "objectives": {"mlm": {}}, "masking": {"strategy": "base"}, "train": {"steps": 1}}
    for enabled in (True, False):
        file = written(tmp_path, {"comet": {"enabled": enabled}})
        config = check(run | {"engine": {"deepspeed": file}}, "here")
        if enabled:
            with pytest.raises(PolymeraseError, match="comet needs the package comet_ml, which is not installed"):
                check_deepspeed(config)
        else:
            check_deepspeed(config)


def test_a_file_that_is_none_and_a_key_written_twice_are_one_line(tmp_path):
    with pytest.raises(PolymeraseError, match="cannot be read: No such file"):
        read_deepspeed_json(str(tmp_path / "nowhere.json"), 1)
    (tmp_path / "twice.json").write_text('{"timers": {}, "timers": {}}')
    with pytest.raises(PolymeraseError, match="key 'timers' is written twice"):
        read_deepspeed_json(str(tmp_path / "twice.json"), 1)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"zero_optimization": {"stge": 2}}, "DeepSpeedZeroConfig: stge: an unknown key"),
        ({"zero_optimization": {"overlap_comm": "perhaps"}}, "overlap_comm: .* valid boolean.*, got 'perhaps'"),
        ({"communication_data_type": "fp99"}, "Invalid communication_data_type"),
        ({"wall_clock_breakdown": "often"}, "DeepSpeed refuses it"),
        ({"zero_optimization": {"overlap_comm": False}}, None),
    ],
)
def test_what_deepspeed_itself_refuses_is_one_line_before_the_run(tmp_path, capsys, tree, message):
    run = {"batch": {"tokens": 64}, "objectives": {"mlm": {}}, "masking": {"strategy": "base"}, "train": {"steps": 1}}
    config = check(run | {"engine": {"deepspeed": written(tmp_path, tree)}}, "here")
    if message is None:
        check_deepspeed(config)
    else:
        with pytest.raises(PolymeraseError, match=message) as caught:
            check_deepspeed(config)
        assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_it_is_read_when_the_config_is_checked(tmp_path):
    tree = {"batch": {"tokens": 64}, "objectives": {"mlm": {}}, "masking": {"strategy": "base"}, "train": {"steps": 1}}
    file = written(tmp_path, {"optimizer": {"type": "AdamW"}})
    with pytest.raises(PolymeraseError, match=r"optimizer is decided by optimizer of the YAML"):
        check(tree | {"engine": {"deepspeed": file}}, "here")
    kept = {"zero_optimization": {"overlap_comm": True}, "communication_data_type": "fp32"}
    check(tree | {"engine": {"deepspeed": written(tmp_path, kept)}}, "here")
