"""A BPE file of another format is one clear line."""

import json
import pickle

import pytest

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.tokenizers import build_tokenizer


@pytest.fixture
def tree(golden):
    return json.loads((golden / "tokenizers" / "bpe_tiny.json").read_text())


def refused(path, content, message):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(PolymeraseError) as error:
        build_tokenizer("bpe", file=str(path))
    text = str(error.value)
    assert text.startswith(str(path))
    assert message in text
    assert "\n" not in text


def test_a_file_of_another_kind_is_one_line(tmp_path, tree):
    path = tmp_path / "tokenizer.json"
    refused(path, "#version: 0.2\nA A\n", "a file that is not JSON")
    refused(path, ["A", "C"], "model.type is BPE, got None")
    refused(path, tree | {"model": {"type": "WordPiece", "vocab": {}}}, "got 'WordPiece'")
    refused(path, tree | {"normalizer": {"type": "Lowercase"}}, "no normalizer")
    refused(path, tree | {"pre_tokenizer": {"type": "ByteLevel"}}, "no normalizer")
    refused(path, tree | {"model": tree["model"] | {"merges": ["A"]}}, "cannot read it")
    refused(path, tree | {"post_processor": None}, "expected the template [CLS] $A [SEP]")
    for key, value in (("fuse_unk", True), ("unk_token", None), ("dropout", 0.1), ("end_of_word_suffix", "</w>")):
        refused(path, tree | {"model": tree["model"] | {key: value}}, f"expected model.{key}")


def test_a_vocabulary_without_mask_token_or_with_gaps_is_one_line(tmp_path, tree):
    path = tmp_path / "tokenizer.json"
    vocab = tree["model"]["vocab"]
    renamed = {("<mask>" if token == "[MASK]" else token): i for token, i in vocab.items()}
    others = [token for token in tree["added_tokens"] if token["content"] != "[MASK]"]
    refused(path, tree | {"model": tree["model"] | {"vocab": renamed}, "added_tokens": others}, "got no [MASK]")
    shifted = {token: i + (i > 20) for token, i in vocab.items()}
    refused(path, tree | {"model": tree["model"] | {"vocab": shifted}}, "ids with gaps")


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(PolymeraseError, match=r"absent\.json: cannot be read"):
        build_tokenizer("bpe", file=str(tmp_path / "absent.json"))
    with pytest.raises(PolymeraseError, match="needs its file"):
        build_tokenizer("bpe")


def test_workers_get_a_copy_that_reads_the_same(golden):
    tokenizer = build_tokenizer("bpe", file=str(golden / "tokenizers" / "dnabert2_released.json"))
    again = pickle.loads(pickle.dumps(tokenizer))
    rows = Ragged.from_rows([b"GATTACA", b"ACGTNACGT", b""])
    assert again.encode(rows).ids.tolist() == tokenizer.encode(rows).ids.tolist()
    assert again.count(rows).tolist() == tokenizer.encode(rows).lengths.tolist()
