"""Every tokenizer gives the ids of the released one."""

import hashlib
import json

import numpy as np
import pytest

from data_prep.corpus import Ragged
from pretrain.tokenizers import build_tokenizer
from pretrain.tokenizers.kmer_blocks import BlockTokenizer


def load(path):
    return json.loads(path.read_text())


def test_ernie_rna_knows_all_17_letters_of_the_training_dictionary(golden):
    cases = load(golden / "ernie_rna" / "tokenizer_cases.json")
    tokenizer = build_tokenizer("ernie_rna")
    assert list(tokenizer.vocab) == cases["id_to_token"]
    assert (tokenizer.cls_id, tokenizer.pad_id, tokenizer.eos_id, tokenizer.unk_id, tokenizer.mask_id) == tuple(
        cases[key] for key in ("bos", "pad", "eos", "unk", "mask")
    )
    for case in cases["cases"]:
        # the training dictionary has neither lower case nor T; corpora were converted beforehand
        text = case["text"].upper().replace("T", "U")
        expected = next((c["training_dictionary_ids"] for c in cases["cases"] if c["text"] == text), None)
        if expected is not None:
            assert tokenizer.encode_text(case["text"]).tolist() == expected, case["text"]


def test_ernie_rna_can_read_ambiguity_codes_as_the_embedding_scripts_do(golden):
    tokenizer = build_tokenizer("ernie_rna", ambiguous_as_unk=True)
    for case in load(golden / "ernie_rna" / "tokenizer_cases.json")["cases"]:
        if " " not in case["text"]:  # a blank is <unk> to the scripts, a separator to the dictionary; we drop it
            assert tokenizer.encode_text(case["text"]).tolist() == case["upstream_inference_ids"], case["text"]


def test_rnaernie_and_rnaernie2_ids(golden):
    cases = load(golden / "rnaernie" / "tokenizer_cases.json")
    one, two = build_tokenizer("rnaernie"), build_tokenizer("rnaernie2")
    assert list(one.vocab) == cases["rnaernie_vocab"]
    assert list(two.vocab) == cases["rnaernie2_vocab"]
    for case in cases["cases"]:
        assert one.encode_text(case["sequence"]).tolist() == case["paddle_inference_ids (upper, U->T)"]
        assert two.encode_text(case["sequence"]).tolist() == case["rnaernie2_ids"]


def test_rnaernie_writes_the_rna_type_into_the_label_slot(golden):
    labels = load(golden / "rnaernie" / "tokenizer_cases.json")["labels"]
    types = [case["header"].split(" ")[1] for case in labels]
    sequences = Ragged.from_rows([b"ACGU", b"", b"GG", b"N", b"acgt", b"C"])
    tokenizer = build_tokenizer("rnaernie", label_slot=True)
    batch = tokenizer.encode(sequences, types)
    assert batch.ids[batch.label_position].tolist() == [case["label_id"] for case in labels]
    # [CLS] A C G T [IND] TYPE [SEP]
    assert batch.ids[: batch.offsets[1]].tolist() == [2, 35, 37, 38, 36, 6, labels[0]["label_id"], 3]
    assert not batch.maskable[batch.label_position].any()
    unlabeled = tokenizer.encode(sequences)
    assert (unlabeled.ids[unlabeled.label_position] == tokenizer.unk_id).all()
    assert tokenizer.max_nucleotides(512) == 508
    assert build_tokenizer("rnaernie").max_nucleotides(512) == 510


def test_rnaernie_layout_of_real_sequences(shared):
    cases = load(shared / "golden" / "rnaernie" / "layout.json")["cases"]
    for case in cases:
        tokenizer = build_tokenizer("rnaernie", label_slot="PROMPT" in case["strategy"])
        longest = tokenizer.max_nucleotides(512)
        batch = tokenizer.encode(Ragged.from_rows([case["sequence"].encode()[:longest]]), [case["rna_type"]])
        original = np.array(case["input_ids"])
        # upstream lists the label as a target at [CLS]; it is not replaced there
        original[case["masked_positions"][1:]] = case["masked_labels"][1:]
        assert batch.ids.tolist() == original.tolist(), case["seq_id"]


def test_utr_lm_ids(golden):
    data = load(golden / "utr_lm" / "data_path.json")
    tokenizer = build_tokenizer("utr_lm")
    assert {token: i for i, token in enumerate(tokenizer.vocab)} == data["vocab"]
    for text, ids in data["encode_without_specials"].items():
        assert tokenizer.encode_text(text)[1:-1].tolist() == ids, text


def test_utr_lm_reads_what_upstream_stops_at(golden):
    tokenizer = build_tokenizer("utr_lm")
    for text in load(golden / "utr_lm" / "data_path.json")["encode_raises"]:
        expected = [
            tokenizer.vocab.index(c) if c in "ACGT" else tokenizer.unk_id for c in text.upper().replace("U", "T")
        ]
        assert tokenizer.encode_text(text)[1:-1].tolist() == expected, text


@pytest.mark.parametrize("k", [3, 4, 5, 6])
@pytest.mark.parametrize("family", ["utrbert", "dnabert"])
def test_kmer_ids(golden, family, k):
    data = load(golden / "utrbert" / "tokenization.json")
    tokenizer = build_tokenizer(f"{family}_{k}mer")
    lines = (golden / "utrbert" / f"vocab_{k}mer.txt").read_text().splitlines()
    dna = family == "dnabert"
    assert list(tokenizer.vocab) == [line.replace("U", "T") if dna and "[" not in line else line for line in lines]
    for case, ids in zip(data["seqs"], data["ids"][str(k)], strict=True):
        assert tokenizer.encode_text(case["seq"]).tolist() == ids, case["name"]
    for case in (c for c in data["long"] if c["k"] == k):
        longest = tokenizer.max_nucleotides(512)
        joined = ",".join(map(str, tokenizer.encode_text(case["seq"][:longest])))
        assert hashlib.sha256(joined.encode()).hexdigest() == case["max512_sha256"]


def test_kmer_ids_of_real_utrs(shared):
    data = load(shared / "golden" / "utrbert" / "tokenization.json")
    for k, rows in data["ids"].items():
        tokenizer = build_tokenizer(f"utrbert_{k}mer")
        longest = tokenizer.max_nucleotides(512)
        batch = tokenizer.encode(Ragged.from_rows([case["seq"].encode()[:longest] for case in data["seqs"]]))
        assert [row.tolist() for row in np.split(batch.ids, batch.offsets[1:-1])] == rows


def test_kmers_do_not_cross_a_mask_in_the_text():
    assert build_tokenizer("utrbert_4mer").encode_text("AUGC[MASK]AUGCA").tolist() == [2, 35, 4, 35, 125, 3]


def test_mutbert_texts_follow_the_released_tokenizer(golden):
    data = load(golden / "mutbert" / "tokenization.json")
    tokenizer = build_tokenizer("mutbert", as_released=True)
    assert {token: i for i, token in enumerate(tokenizer.vocab)} == data["vocab"]
    for case in data["single"]:
        assert tokenizer.encode_text(case["text"]).tolist() == case["input_ids"], case["text"]


def test_mutbert_corpora_may_be_soft_masked_or_rna():
    batch = build_tokenizer("mutbert").encode(Ragged.from_rows([b"acgtACGU", b"N"]))
    assert batch.ids.tolist() == [1, 5, 6, 7, 8, 5, 6, 7, 8, 2, 1, 0, 2]


def rows_of(batch):
    return [row.tolist() for row in np.split(batch.ids, batch.offsets[1:-1])]


@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_nucleotide_transformer_ids(golden, layout):
    data = load(golden / "tokenizers" / "nt.json")
    tokenizer = build_tokenizer("kmer6_nonoverlapping" + ("_v1" if layout == "v1" else ""))
    cases = data[layout]["examples"]
    assert all(tokenizer.vocab[i] == token for token, i in data[layout]["ids"].items())
    assert len(tokenizer.vocab) == {"v1": 4105, "v2": 4107}[layout]  # rows of the embedding; v1 lists two more names
    assert rows_of(tokenizer.encode(Ragged.from_rows([case["text"].encode() for case in cases]))) == [
        case["ids"] for case in cases
    ]
    assert [tokenizer.encode_text(case["text"]).tolist() for case in cases] == [case["ids"] for case in cases]
    tiny = BlockTokenizer("tiny", 2, layout)
    assert {token: i for token, i in data["tiny"][layout].items() if i < len(tiny.vocab)} == {
        token: i for i, token in enumerate(tiny.vocab)
    }


def test_methylbert_ids(golden):
    data = load(golden / "tokenizers" / "methylbert.json")
    tokenizer = build_tokenizer("methylbert", as_released=True)
    assert list(tokenizer.vocab) == data["id_to_token"]
    for case in data["cases"]:
        assert tokenizer.encode_text(case["sequence"]).tolist() == [3, *case["ids_list_input"]], case["sequence"]


def test_codon_ids_in_both_orders(golden):
    data = load(golden / "tokenizers" / "helm.json")
    plain, by_name = build_tokenizer("codon"), build_tokenizer("codon_sorted")
    assert list(by_name.vocab) == data["classes_sorted"]
    assert sorted(plain.vocab) == data["classes_sorted"]
    for case in data["cases"]:
        assert plain.encode_text(case["text"]).tolist() == case["plain"], case["text"]
        assert by_name.encode_text(case["text"]).tolist() == case["hxe"], case["text"]
    assert [plain.vocab[i] for i in plain.stop_ids] == ["TAA", "TAG", "TGA"]


def test_hyenadna_ids(golden):
    tokenizer = build_tokenizer("hyenadna", as_released=True)
    for case in load(golden / "tokenizers" / "hyenadna.json")["cases"]:
        assert tokenizer.encode_text(case["text"]).tolist() == case["training_plain"], case["text"]


def test_hyenadna_corpora_are_upper_cased_unless_the_recipe_says_no():
    soft_masked = Ragged.from_rows([b"ACgtNn"])
    assert build_tokenizer("hyenadna").encode(soft_masked).ids.tolist() == [7, 8, 9, 10, 11, 11, 1]
    assert build_tokenizer("hyenadna", case_sensitive=True).encode(soft_masked).ids.tolist() == [7, 8, 6, 6, 11, 6, 1]


def test_gpn_ids(golden):
    data = load(golden / "tokenizers" / "gpn.json")["tokenizer"]
    tokenizer = build_tokenizer("gpn")
    assert {token: i for i, token in enumerate(tokenizer.vocab)} == data["vocab"]
    for case in data["cases"]:
        assert tokenizer.encode_text(case["text"]).tolist() == case["ids"], case["text"]
        batch = tokenizer.encode(Ragged.from_rows([case["text"].encode()]))
        assert batch.ids.tolist() == case["ids"]
        assert (~batch.maskable).tolist() == list(map(bool, case["special_tokens_mask"]))  # N may be a target


def test_evo_reads_bytes(golden):
    data = load(golden / "tokenizers" / "evo1.json")
    tokenizer = build_tokenizer("bytes", case_sensitive=True)
    assert len(tokenizer.vocab) == data["vocab"]
    for text, ids in data["example"].items():
        assert tokenizer.encode_text(text).tolist() == [data["eod=eos"], *ids]
        assert tokenizer.encode(Ragged.from_rows([text.encode()])).ids.tolist() == [data["eod=eos"], *ids]


def test_dnabert2_ids_of_the_released_file(golden):
    data = load(golden / "tokenizers" / "dnabert2.json")
    tokenizer = build_tokenizer("bpe", file=str(golden / "tokenizers" / "dnabert2_released.json"))
    assert len(tokenizer.vocab) == data["vocab_size"]
    assert list(tokenizer.vocab[:40]) == data["first_40_tokens"]
    assert len(data["cases"]) == 51
    for case in data["cases"]:
        assert tokenizer.encode_text(case["text"]).tolist() == case["ids"], case["text"]
    upper = [case for case in data["cases"] if set(case["text"]) <= set("ACGTNRY")]
    assert rows_of(tokenizer.encode(Ragged.from_rows([case["text"].encode() for case in upper]))) == [
        case["ids"] for case in upper
    ]


def test_dnabert2_corpora_are_upper_cased_and_read_with_t_for_u(golden):
    tokenizer = build_tokenizer("bpe", file=str(golden / "tokenizers" / "dnabert2_released.json"))
    one, other = (tokenizer.encode(Ragged.from_rows([text])).ids.tolist() for text in (b"acguACGUN", b"ACGTACGTN"))
    assert one == other
    assert tokenizer.unk_id in one
    assert len(one) < 2 + 9  # letters were merged
