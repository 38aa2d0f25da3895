"""Ids are never taken for other tokens, and an extended vocabulary keeps every old row."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pretrain import families, tokenizers
from pretrain.config import check
from pretrain.errors import PolymeraseError
from pretrain.exporting.form import config_json
from pretrain.exporting.hf_tokenizers import write_tokenizer
from pretrain.exporting.tensors import export_tensors
from pretrain.families import FAMILIES, find_family
from pretrain.families.own_code import form_of
from pretrain.families.published import published_model
from pretrain.importing import load_pretrained_state
from pretrain.importing.vocabulary import vocabulary_beside
from pretrain.models import LanguageModel, PackedBatch, side_inputs_of
from pretrain.tokenizers import Tokenizer, build_tokenizer
from pretrain.tokenizers.letters import LetterTokenizer
from pretrain.training.initial_weights import settings_of
from tests.families.tiny import tiny
from tests.training import corpora as build


def tokenizer_of(name: str, file: Path | None) -> Tokenizer:
    """The family's; ``file`` is for those that are read from one."""
    family = find_family(name)
    return build_tokenizer(family.tokenizer, **({"file": str(file)} if family.tokenizer == "bpe" else {}))


def exported(name: str, folder: Path, file: Path | None = None) -> tuple[Path, LanguageModel]:
    """A folder as the exporter writes it, without the check in a fresh process."""
    family = find_family(name)
    settings = replace(tiny(family, width=16, heads=2, inner=24), max_position_embeddings=64)
    torch.manual_seed(1)
    model = published_model(settings)
    if model.mlm_head.bias is not None:
        torch.nn.init.normal_(model.mlm_head.bias)
    folder.mkdir()
    save_file(export_tensors(family, settings, model.state_dict(), "mlm").model, folder / "model.safetensors")
    form = form_of(family, settings)
    (folder / "config.json").write_text(json.dumps(config_json(family, settings, form.masked_lm_class)))
    write_tokenizer(tokenizer_of(name, file), folder, max_length=64)
    return folder, model.eval()


@pytest.mark.parametrize("name", list(FAMILIES))
def test_the_vocabulary_of_every_export_is_read_back(name, tmp_path, byte_pairs):
    folder, _ = exported(name, tmp_path / "folder", byte_pairs)
    found = vocabulary_beside(folder)
    assert found is None or found == tokenizer_of(name, byte_pairs).vocab
    assert load_pretrained_state(folder)[0].name == name


def test_a_port_with_other_ids_is_refused_and_the_first_one_named(tmp_path):
    folder, _ = exported("ernie_rna", tmp_path / "folder")
    tree = json.loads((folder / "tokenizer.json").read_text())
    vocab = tree["model"]["vocab"]
    vocab["A"], vocab["G"] = vocab["G"], vocab["A"]
    (folder / "tokenizer.json").write_text(json.dumps(tree))
    with pytest.raises(PolymeraseError, match="has: 4 is 'A' there, 'G' here"):
        load_pretrained_state(folder)


def test_the_vocab_txt_of_the_mutbert_release_is_read_by_nobody(tmp_path):
    """It contradicts the tokenizer.json beside it (recipes/mutbert.md#tokens)."""
    folder, _ = exported("mutbert", tmp_path / "folder")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nA\nT\nC\nG\n")
    assert load_pretrained_state(folder)[0].name == "mutbert"
    (folder / "tokenizer.json").unlink()
    assert load_pretrained_state(folder)[0].name == "mutbert"


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff\xfe", b'{"model": {"vocab": {"A": 0, "C": 2}}}', b'{"model": 3}'])
def test_a_broken_vocabulary_is_named(tmp_path, text):
    folder, _ = exported("ernie_rna", tmp_path / "folder")
    (folder / "tokenizer.json").write_bytes(text)
    with pytest.raises(PolymeraseError, match=r"tokenizer\.json: not a vocabulary"):
        load_pretrained_state(folder)


@pytest.fixture
def with_inosine(monkeypatch: pytest.MonkeyPatch) -> str:
    """A family with ERNIE-RNA's encoder and two more letters, one of them put before the old ones."""
    old = build_tokenizer("ernie_rna").vocab
    vocab = (*old[:4], "P", *old[4:], "Q")
    special = ("<pad>", "<unk>", "<cls>", "<eos>", "<mask>")
    monkeypatch.setitem(
        tokenizers.TOKENIZERS, "modified", lambda: LetterTokenizer("modified", vocab, "GAUCNPQ", special)
    )
    settings = replace(
        FAMILIES["ernie_rna"].settings, vocab_size=len(vocab), mask_token_id=vocab.index("<mask>"),
        base_token_ids=tuple(vocab.index(letter) for letter in "ACGU"),
    )  # fmt: skip
    family = replace(FAMILIES["ernie_rna"], name="modified", settings=settings, tokenizer="modified")
    monkeypatch.setitem(families.FAMILIES, "modified", family)
    return "modified"


def config(folder: Path, **model: object):
    tree = build.tree(folder / "run", folder)
    tree["model"] = {"init_from": str(folder), **model}
    return check(tree, "test")


def logits(model: LanguageModel, tokenizer: LetterTokenizer, text: str) -> torch.Tensor:
    ids = tokenizer.encode_text(text)
    side = {
        name: torch.from_numpy(fill(ids, None))
        for name, fill in side_inputs_of(model.settings, tokenizer.vocab).items()
    }
    with torch.no_grad():
        return model(PackedBatch.pack(torch.from_numpy(ids), [len(ids)], side=side))


def test_an_extended_model_says_of_old_letters_what_it_said_before(with_inosine, tmp_path):
    folder, model = exported("ernie_rna", tmp_path / "folder")
    settings, state = settings_of(config(folder, family="modified", extend_vocabulary=True))[1:]
    extended = published_model(settings).eval()
    extended.load_state_dict(state)
    old, new = build_tokenizer("ernie_rna"), build_tokenizer("modified")
    after = logits(extended, new, "GGAUCNUC")
    rows = [new.vocab.index(token) for token in old.vocab]
    torch.testing.assert_close(after[:, rows], logits(model, old, "GGAUCNUC"))
    assert torch.isfinite(logits(extended, new, "GGPQC")).all()
    again = settings_of(config(folder, family="modified", extend_vocabulary=True))[2]
    assert all(torch.equal(again[name], state[name]) for name in state)  # every rank draws the same new rows


def test_another_family_needs_to_be_asked_for_and_must_fit(with_inosine, tmp_path):
    folder, _ = exported("ernie_rna", tmp_path / "folder")
    with pytest.raises(PolymeraseError, match="is a ernie_rna model"):
        settings_of(config(folder, family="modified"))[1:]
    with pytest.raises(PolymeraseError, match="utr_lm has no token"):
        settings_of(config(folder, family="utr_lm", extend_vocabulary=True))[1:]
    folder, _ = exported("mutbert", tmp_path / "dna")
    with pytest.raises(PolymeraseError, match="differ in more than their tokens"):
        settings_of(config(folder, family="rnaernie", extend_vocabulary=True))[1:]


def test_other_byte_pairs_than_those_of_the_weights_are_refused(tmp_path, byte_pairs):
    """A file with as many tokens would read every row as another token."""
    folder, _ = exported("dnabert2", tmp_path / "folder", byte_pairs)
    assert settings_of(config(folder, family="dnabert2", tokenizer_file=str(byte_pairs)))[0].tokenizer == "bpe"
    tree = json.loads(Path(byte_pairs).read_text())
    vocab, merges = tree["model"]["vocab"], tree["model"]["merges"]
    one, other = sorted(vocab, key=vocab.get)[-2:]
    changed = {"model": {"vocab": vocab | {one: vocab[other], other: vocab[one]}}}, {"model": {"merges": merges[::-1]}}
    said = (f"id {vocab[one]} is '{one}' there, '{other}' here", "the same tokens, merged in another order")
    for change, difference in zip(changed, said, strict=True):
        file = tmp_path / "other.json"
        file.write_text(json.dumps({**tree, "model": tree["model"] | change["model"]}))
        with pytest.raises(PolymeraseError, match="was trained with other tokens than this run has") as refused:
            settings_of(config(folder, family="dnabert2", tokenizer_file=str(file)))
        assert difference in str(refused.value)


@pytest.mark.parametrize(
    ("name", "other", "said"),
    [
        ("dnabert_3mer", "utrbert_3mer", "other tokens than this run has: id "),
        ("ernie_rna", "rinalmo", "other tokens than this run has: id "),
    ],
)
def test_another_tokenizer_than_that_of_the_weights_is_refused(name, other, said, tmp_path):
    folder, _ = exported(name, tmp_path / "folder")
    with pytest.raises(PolymeraseError, match=said):
        settings_of(config(folder, family=name, tokenizer=other))
    assert settings_of(config(folder, family=name, tokenizer=find_family(name).tokenizer))[2]


def test_a_vocabulary_that_needs_no_row_is_not_extended(tmp_path):
    folder, _ = exported("ernie_rna", tmp_path / "folder")
    with pytest.raises(PolymeraseError, match=r"extend_vocabulary has no effect: .* has all tokens of this run"):
        settings_of(config(folder, family="ernie_rna", extend_vocabulary=True))
