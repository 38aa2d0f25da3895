"""Text in, ids out: what each tokenizer makes of text is one table, the same in training, evaluate and exports."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, DataCollatorForLanguageModeling

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.exporting.hf_tokenizers import write_tokenizer
from pretrain.exporting.text_contract import contract_sentence, in_letters_of, text_contract
from pretrain.tokenizers import TOKENIZERS, Tokenizer, build_tokenizer
from pretrain.tokenizers.kmer import KmerTokenizer
from tests.exporting.forms import FORMS, job_of

ROOT = Path(__file__).resolve().parents[2]
BPE_FILE = ROOT / "tests" / "golden" / "tokenizers" / "dnabert2_released.json"
PAGE, MARKS = ROOT / "docs" / "export.md", ("<!-- table of tests/exporting/test_text_contract.py -->", "<!-- end -->")
TEXT = "AUGCAUGGCCAUGCAUGCAAUGCAUGCA"
# texts go to the library of byte pairs, and to bytes, unfolded
AS_IT_IS = {"bpe", "bytes"}


def built(name: str) -> Tokenizer:
    return build_tokenizer(name, **({"file": str(BPE_FILE)} if name == "bpe" else {}))


@pytest.fixture(scope="module", params=TOKENIZERS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    """Ours, and the one loaded from its exported files."""
    tokenizer, folder = built(request.param), tmp_path_factory.mktemp(request.param)
    write_tokenizer(tokenizer, folder, max_length=512)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    return tokenizer, AutoTokenizer.from_pretrained(folder, trust_remote_code=isinstance(tokenizer, KmerTokenizer))


def texts_of(tokenizer: Tokenizer) -> list[str]:
    text, draw = in_letters_of(tokenizer, TEXT), random.Random(2)
    mixed = ["".join(draw.choices("ACGUTNRYacgutn", k=length)) for length in (0, 1, 2, 5, 17, 60)]
    return [text, text.lower(), TEXT, TEXT.replace("U", "T"), f" {text[:9]}\n{text[9:]}\t", "", *mixed]


def masked_of(tokenizer: Tokenizer) -> str:
    """A text with the mask and the unknown token spelled out between whole k-mers and codons."""
    text = in_letters_of(tokenizer, TEXT)
    mask, unknown = tokenizer.vocab[tokenizer.mask_id], tokenizer.vocab[tokenizer.unk_id]
    return f"{text[:12]}{mask}{text[12:24]}{unknown}{text[:6]}"


def test_exports_read_text_as_we_do(pair: tuple[Tokenizer, Any]) -> None:
    tokenizer, loaded = pair
    for text in texts_of(tokenizer):
        assert loaded(text)["input_ids"] == tokenizer.encode_text(text).tolist(), text
    if tokenizer.name != "bytes":
        assert loaded(masked_of(tokenizer))["input_ids"] == tokenizer.encode_text(masked_of(tokenizer)).tolist()


def test_evaluate_and_training_read_corpora_as_exports_read_text(pair: tuple[Tokenizer, Any]) -> None:
    tokenizer, loaded = pair
    for text in texts_of(tokenizer):
        letters = re.sub(r"\s", "", text)
        if tokenizer.name in AS_IT_IS:
            letters = letters.upper().replace("U", "T")
        if tokenizer.name == "gpn" and "U" in letters.upper():
            continue  # corpora hold DNA: U is T there, and [UNK] in text, as the table says
        corpus = tokenizer.encode(Ragged.from_rows([letters.encode()])).ids.tolist()
        assert not tokenizer.has_label_slot
        assert loaded(letters)["input_ids"] == corpus, letters


def test_a_card_says_which_folders_read_text_otherwise_than_training(pair: tuple[Tokenizer, Any]) -> None:
    tokenizer, loaded = pair
    said = contract_sentence(tokenizer)
    text = in_letters_of(tokenizer, TEXT)
    corpus = tokenizer.encode(Ragged.from_rows([text.encode()])).ids.tolist()
    other = text.replace("U", "T") if "U" in text else text.replace("T", "U")
    alike = all(loaded(one)["input_ids"] == corpus for one in (text.lower(), other))
    assert said.endswith("read text alike." if alike else "give it such text.")
    assert alike == (tokenizer.name not in {*AS_IT_IS, "gpn"})


def test_words_are_one_sequence(pair: tuple[Tokenizer, Any]) -> None:
    """is_split_into_words, as token classification gives letters."""
    tokenizer, loaded = pair
    if tokenizer.name == "bpe":
        pytest.skip("byte pairs of single letters are other tokens, as in every tokenizer of this kind")
    text = in_letters_of(tokenizer, TEXT)
    if tokenizer.name.startswith("kmer"):
        pytest.skip("words are cut one by one, as the page says")
    assert loaded(list(text), is_split_into_words=True)["input_ids"] == loaded(text)["input_ids"]


def test_offsets_say_where_a_token_stands(pair: tuple[Tokenizer, Any]) -> None:
    tokenizer, loaded = pair
    if tokenizer.name == "bytes":
        pytest.skip("bytes are their own offsets")
    text = in_letters_of(tokenizer, TEXT)
    spaced = text if tokenizer.name == "bpe" else f"{text[:10]} {text[10:]}"
    found = loaded(spaced, return_offsets_mapping=True)
    for i, (start, end) in zip(found["input_ids"], found["offset_mapping"], strict=True):
        if i not in tokenizer.special_ids:
            assert re.sub(r"\s", "", spaced[start:end]).upper() == tokenizer.vocab[i].upper()


def test_k_mers_already_split_are_taken_or_refused(pair: tuple[Tokenizer, Any]) -> None:
    tokenizer, loaded = pair
    if not isinstance(tokenizer, KmerTokenizer):
        pytest.skip("no k-mers")
    k, step, text = tokenizer.nucleotides_per_token, tokenizer.stride, in_letters_of(tokenizer, TEXT[:27])
    kmers = [text[start : start + k] for start in range(0, len(text) - k + 1, step)]
    expected = tokenizer.encode_text(text).tolist()
    assert loaded(" ".join(kmers))["input_ids"] == loaded(kmers, is_split_into_words=True)["input_ids"] == expected
    if step == 1:
        for read, error in ((loaded, ValueError), (tokenizer.encode_text, PolymeraseError)):
            with pytest.raises(error, match="do not overlap") as refused:
                read(" ".join(text[start : start + k] for start in range(0, 27 - k, k)))
            assert "\n" not in str(refused.value)


def test_decoding_and_encoding_again_keeps_every_id(pair: tuple[Tokenizer, Any]) -> None:
    tokenizer, loaded = pair
    if tokenizer.name in AS_IT_IS:
        pytest.skip("read as it is")
    inner = [i for i in loaded(masked_of(tokenizer))["input_ids"] if i not in (tokenizer.cls_id, tokenizer.eos_id)]
    again = loaded(loaded.decode(inner), add_special_tokens=False)["input_ids"]
    assert again == inner


def test_special_tokens_are_marked_and_never_masked(pair: tuple[Tokenizer, Any]) -> None:
    tokenizer, loaded = pair
    if tokenizer.name == "bytes":
        pytest.skip("no mask token")
    text = in_letters_of(tokenizer, TEXT)
    row = loaded(text, return_special_tokens_mask=True)
    assert row["special_tokens_mask"] == [int(i in tokenizer.special_ids) for i in row["input_ids"]]
    torch.manual_seed(0)
    collate = DataCollatorForLanguageModeling(loaded, mlm_probability=0.9)
    batch = collate([loaded(text), loaded(text[:15])])
    labeled = batch["labels"][batch["labels"] != -100].tolist()
    assert labeled
    assert not set(labeled) & tokenizer.special_ids


def test_added_tokens_are_one_token(pair: tuple[Tokenizer, Any]) -> None:
    tokenizer, loaded = pair
    text = in_letters_of(tokenizer, TEXT)[:12]
    loaded.add_tokens(["<gap>"])
    number = loaded.convert_tokens_to_ids("<gap>")
    assert number >= len(tokenizer.vocab)
    plain = loaded(text, add_special_tokens=False)["input_ids"]
    assert loaded(f"{text}<gap>{text}", add_special_tokens=False)["input_ids"] == [*plain, number, *plain]


@pytest.mark.parametrize("name", ["bert", "bert_kmers", "esm", "mutbert", "ernie_rna"])
def test_cards_use_letters_that_their_model_knows(name: str, tmp_path: Path) -> None:
    folder = Path(job_of(name, tmp_path / name)["folder"])
    card = (folder / "README.md").read_text()
    tokenizer = built(FORMS[name].family)
    found = re.findall(r'"([ACGTU]{8,})"', card)
    assert found
    assert all(tokenizer.unk_id not in tokenizer.encode_text(text) for text in found)
    assert ("U" in "".join(found)) == ("U" in in_letters_of(tokenizer, "U"))
    assert "Text in: lower case: as upper case" in card
    pooled = json.loads((folder / "config.json").read_text())["model_type"] in ("bert", "esm")
    assert ("add_pooling_layer=False" in card) == pooled


def test_the_page_holds_the_table() -> None:
    text = PAGE.read_text()
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    wanted = f"{before}{MARKS[0]}\n{table()}\n{MARKS[1]}{after}"
    if os.environ.get("POLYMERASE_WRITE_TABLE"):
        PAGE.write_text(wanted)
    assert text == wanted, "write the table anew: POLYMERASE_WRITE_TABLE=1"


def table() -> str:
    """Tokenizers that read alike share a row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    subjects: list[str] = []
    for name in TOKENIZERS:
        contract = text_contract(built(name))
        subjects = list(contract)
        rows.setdefault(tuple(contract.values()), []).append(f"`{name}`")
    lines = [f"| tokenizer | {' | '.join(subjects)} |", "|" + " --- |" * (len(subjects) + 1)]
    return "\n".join([*lines, *(f"| {', '.join(names)} | {' | '.join(cells)} |" for cells, names in rows.items())])
