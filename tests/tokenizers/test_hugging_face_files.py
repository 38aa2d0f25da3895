"""Exported tokenizer files load with AutoTokenizer and give our ids."""

import json
import random

import pytest
from transformers import AutoTokenizer

from pretrain.errors import PolymeraseError
from pretrain.exporting.hf_tokenizers import write_tokenizer
from pretrain.tokenizers import TOKENIZERS, build_tokenizer
from pretrain.tokenizers.kmer import KmerTokenizer

# The model types of the folders they are exported into: AutoTokenizer looks there too.
MODEL_TYPES = {"ernie_rna": "ernie_rna", "utr_lm": "esm", "mutbert": "mutbert"}
WITHOUT_FILES = {"gpn", "hyenadna", "bytes", "bpe", "kmer6_nonoverlapping",
                 "kmer6_nonoverlapping_v1", "kmer3_nonoverlapping"}  # fmt: skip
NAMES = [*(name for name in TOKENIZERS if name not in WITHOUT_FILES), "ernie_rna ambiguous_as_unk"]


def pieces(tokenizer):
    """What adversarial texts are made of: (weight, choices)."""
    ours = [*tokenizer.special, *("<mask>", "[MASK]", "<pad>", "[PAD]", "[UNK]", "<unk>", "[IND]", "[SEP]", "<eos>")]
    return [
        (40, list("ACGU")),
        (20, list("ACGT")),
        (15, list("acgut")),
        (6, list("NnRYKMSWBDHVXIryi")),
        (4, list("-.*?_~")),
        (4, [" ", "\t", "\n", "\r", "\x0b", "\x0c", "  "]),
        (4, ours),
        (2, ["<mas", "k>", "[MASK", "<MASK>", "[mask]", "mask", "<<mask>>", "[ MASK ]", "madeupword0000"]),
        (2, ["tRNA", "rRNA", "other", "miRNA", "RNaseMRPRNA"]),
        (3, ["é", "ß", "ſ", "ı", "İ", "\u00a0", "\u2003", "\x85", "\x1c", "\u0301", "Ａ", "😀", "0", "\\", '"']),
    ]


def texts(tokenizer, count, seed=0):
    source = random.Random(seed)
    weights, choices = zip(*pieces(tokenizer), strict=True)
    made = ["", " ", "A", "AC", "N", "acgu", "ACGT", "AUG<mask>AUG", "AUG[MASK]AUG", "A C G U", "GATTACA\n"]
    while len(made) < count:
        plain = source.random() < 0.4
        length = source.choice((1, 2, 3, 5, 8, 13, 40))
        kinds = source.choices(choices, (1,) + (0,) * 9 if plain else weights, k=length)
        made.append("".join(source.choice(kind) for kind in kinds))
    return made


@pytest.fixture(scope="module", params=NAMES)
def exported(request, tmp_path_factory):
    """(our tokenizer, the one loaded from its files, the folder)."""
    name, _, option = request.param.partition(" ")
    tokenizer = build_tokenizer(name, **({option: True} if option else {}))
    folder = tmp_path_factory.mktemp(name)
    bert_like = name in ("rnaernie", "rnaernie2", "mutbert")
    write_tokenizer(tokenizer, folder, max_length=64, token_type_ids=bert_like)
    (folder / "config.json").write_text(json.dumps({"model_type": MODEL_TYPES.get(name, "bert")}))
    loaded = AutoTokenizer.from_pretrained(folder, trust_remote_code=isinstance(tokenizer, KmerTokenizer))
    return tokenizer, loaded, folder


def test_ids_are_ours_on_10_000_random_and_adversarial_texts(exported):
    tokenizer, loaded, _ = exported
    ours, refused = {}, []
    for text in texts(tokenizer, 10_000):
        try:
            ours[text] = tokenizer.encode_text(text).tolist()
        except PolymeraseError:
            refused.append(text)
    for text, ids in zip(ours, loaded(list(ours))["input_ids"], strict=True):
        assert ids == ours[text], ascii(text)
    for text in refused:  # words of k letters that are no overlapping k-mers
        with pytest.raises(ValueError, match="that do not overlap"):
            loaded(text)
    assert not refused or isinstance(tokenizer, KmerTokenizer)


def test_padded_batches_carry_their_masks(exported):
    tokenizer, loaded, _ = exported
    batch = loaded(["ACGUACGUA", "", "ACGUAC"], padding=True, return_tensors="pt")
    lengths = [len(tokenizer.encode_text(text)) for text in ("ACGUACGUA", "", "ACGUAC")]
    assert batch["input_ids"].shape == (3, max(lengths))
    assert batch["attention_mask"].sum(dim=1).tolist() == lengths
    assert (batch["input_ids"][batch["attention_mask"] == 0] == tokenizer.pad_id).all()
    bert_like = tokenizer.name.startswith(("rnaernie", "mutbert", "utrbert", "dnabert"))  # EsmModel has no token types
    assert ("token_type_ids" in batch) == bert_like
    if bert_like:
        assert batch["token_type_ids"].sum() == 0


def test_truncation_keeps_the_first_letters_and_both_ends(exported):
    tokenizer, loaded, _ = exported
    text = "ACGGUCAUAC" * 20
    kept = text[: tokenizer.max_nucleotides(64)]
    assert loaded.model_max_length == 64
    assert loaded(text, truncation=True)["input_ids"] == tokenizer.encode_text(kept).tolist()
    assert len(loaded(text, truncation=True, max_length=16)["input_ids"]) == 16


def test_special_tokens_have_their_published_ids(exported):
    tokenizer, loaded, _ = exported
    ids = (loaded.pad_token_id, loaded.unk_token_id, loaded.cls_token_id, loaded.mask_token_id)
    assert ids == (tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.mask_id)
    assert tokenizer.eos_id in (loaded.eos_token_id, loaded.sep_token_id)
    assert set(loaded.all_special_ids) == tokenizer.special_ids
    assert len(loaded) == loaded.vocab_size == len(tokenizer.vocab)
    assert loaded.convert_ids_to_tokens(range(len(tokenizer.vocab))) == list(tokenizer.vocab)


def test_decoding_gives_the_sequence_back(exported):
    tokenizer, loaded, _ = exported
    text = (
        "GATTACAGATTACA" if "T" in "".join(tokenizer.vocab[i] for i in tokenizer.nucleotide_ids) else "GAUUACAGAUUACA"
    )
    text = text[: len(text) // getattr(tokenizer, "stride", 1) * getattr(tokenizer, "stride", 1)]  # whole codons
    assert loaded.decode(loaded(text)["input_ids"], skip_special_tokens=True) == text


def test_saved_again_it_is_the_same(exported, tmp_path):
    _, loaded, folder = exported
    loaded.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    again = AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=(folder / "vocab.txt").exists())
    made = ["AUG<mask>AUG[MASK]acgtnACGUACG", ""]
    assert again(made)["input_ids"] == loaded(made)["input_ids"]


def test_the_card_of_ernie_rna_works_as_printed(tmp_path):
    write_tokenizer(build_tokenizer("ernie_rna"), tmp_path, max_length=1024)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded(["AUG<mask>AUG"], return_tensors="pt")["input_ids"].shape == (1, 9)


@pytest.mark.parametrize("k", [3, 4, 5, 6])
def test_padded_batches_of_the_released_kmer_tokenizer(golden, tmp_path, k):
    write_tokenizer(build_tokenizer(f"utrbert_{k}mer"), tmp_path, max_length=512)
    loaded = AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=True)
    data = json.loads((golden / "utrbert" / "tokenization.json").read_text())
    for case in (case for case in data["padded_batch"] if case["k"] == k):
        batch = loaded(case["seqs"], padding=True, truncation=True, max_length=case["max_length"])
        assert batch["input_ids"] == case["input_ids"]
        assert batch["attention_mask"] == case["attention_mask"]
    assert (tmp_path / "vocab.txt").read_text() == (golden / "utrbert" / f"vocab_{k}mer.txt").read_text()
    assert not (tmp_path / "tokenizer.json").exists()


@pytest.mark.parametrize("argument", [{}, {"trust_remote_code": False}])
def test_kmer_folders_do_not_load_without_their_code(tmp_path, argument):
    """Better an error than a BERT tokenizer for which every k-mer is unknown."""
    write_tokenizer(build_tokenizer("utrbert_3mer"), tmp_path, max_length=512)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises((ValueError, OSError)):
        AutoTokenizer.from_pretrained(tmp_path, **argument)


def test_pairs_follow_the_released_forms(golden, tmp_path):
    write_tokenizer(build_tokenizer("mutbert", as_released=True), tmp_path, max_length=512, token_type_ids=True)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    data = json.loads((golden / "mutbert" / "tokenization.json").read_text())
    for case in data["pair"]:
        pair = loaded(case["text"], case["text_pair"])
        assert (pair["input_ids"], pair["token_type_ids"]) == (case["input_ids"], case["token_type_ids"])
    padded = loaded(data["padded"]["texts"], padding=True)
    assert padded["input_ids"] == data["padded"]["input_ids"]
    assert padded["attention_mask"] == data["padded"]["attention_mask"]
    cut = data["truncated"]
    assert loaded(cut["text"], truncation=True, max_length=cut["max_length"])["input_ids"] == cut["input_ids"]
    write_tokenizer(build_tokenizer("rnaernie2"), tmp_path, max_length=512, token_type_ids=True)
    assert AutoTokenizer.from_pretrained(tmp_path)("A", "CG")["input_ids"] == [2, 6, 4, 8, 9, 3]
