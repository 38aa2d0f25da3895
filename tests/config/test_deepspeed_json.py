"""``engine.deepspeed`` holds what the YAML has no key for; what the YAML owns has one owner."""

import json

import pytest

from pretrain.config import check
from pretrain.config.deepspeed_json import OWNED, read_deepspeed_json
from pretrain.errors import PolymeraseError


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
        read_deepspeed_json(written(tmp_path, nested(key, 4)))
    assert key in str(caught.value)
    assert OWNED[key] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"zero_optimisation": {}}, "did you mean 'zero_optimization'"),
        ({"zero_optimization": {"reduce_bucket_size": "auto"}}, "reduce_bucket_size is 'auto'"),
        ([], "expected a JSON object, got list"),
    ],
)
def test_what_would_be_ignored_or_guessed_is_one_line(tmp_path, tree, message):
    with pytest.raises(PolymeraseError, match=message):
        read_deepspeed_json(written(tmp_path, tree))


def test_it_is_read_when_the_config_is_checked(tmp_path):
    tree = {"batch": {"tokens": 64}, "objectives": {"mlm": {}}, "masking": {"strategy": "base"}, "train": {"steps": 1}}
    file = written(tmp_path, {"optimizer": {"type": "AdamW"}})
    with pytest.raises(PolymeraseError, match=r"optimizer is decided by optimizer of the YAML"):
        check(tree | {"engine": {"deepspeed": file}}, "here")
    kept = {"zero_optimization": {"overlap_comm": True}, "communication_data_type": "fp32"}
    check(tree | {"engine": {"deepspeed": written(tmp_path, kept)}}, "here")
