"""Byte-pair vocabularies trained on a corpus."""

import json

import pytest

from data_prep.__main__ import main
from data_prep.bpe.train import train
from pretrain.tokenizers import build_tokenizer
from tests.data_prep.test_genomes import fasta


def corpus_of(folder, lines):
    text = "".join(f">s{number}\n{line}\n" for number, line in enumerate(lines))
    (folder / "s.fa").write_text(text)
    out = str(folder / "corpus")
    arguments = ["fasta", str(folder / "s.fa"), "--out", out, "--validation", "0", "--alphabet", "dna"]
    assert main([*arguments, "--duplicates", "keep", "--max-ambiguous", "1"]) == 0
    return out


@pytest.fixture(scope="module")
def lines(golden):
    return (golden / "tokenizers" / "bpe_tiny_corpus.txt").read_text().splitlines()


def test_training_again_gives_the_file_of_the_original_trainer(golden, lines):
    expected = json.loads((golden / "tokenizers" / "bpe_tiny.json").read_text())
    assert json.loads(train(lines, 64).to_str()) == expected


def test_the_stage_gives_the_same_vocabulary_twice_and_says_what_it_is(tmp_path, golden, lines, capsys):
    corpus = corpus_of(tmp_path, lines)
    for name in ("a.json", "b.json"):
        assert main(["bpe", corpus, "--vocab-size", "64", "--out", str(tmp_path / name)]) == 0
    said = capsys.readouterr().out
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    expected = json.loads((golden / "tokenizers" / "bpe_tiny.json").read_text())["model"]["vocab"]
    assert json.loads((tmp_path / "a.json").read_text())["model"]["vocab"] == expected
    letters = sum(map(len, lines))
    assert f"trained on {len(lines):,} sequences, {letters:,} nt" in said
    assert "vocabulary: 64 tokens" in said
    assert "coverage: 100.0000% of letters known" in said
    tokenizer = build_tokenizer("bpe", file=str(tmp_path / "a.json"))
    tokens = sum(len(tokenizer.encode_text(line)) - 2 for line in lines)
    assert f"{letters / tokens:.3f} nt per token" in said


def test_genomes_are_read_in_pieces_without_n(tmp_path, capsys):
    genome = fasta(tmp_path, sequences={"a": "ACGGT" * 50 + "N" * 9 + "TTTAC" * 41, "b": "ACACA" * 3})
    assert main(["genomes", str(genome), "--out", str(tmp_path / "g"), "--window", "5", "--validation", "0"]) == 0
    out = tmp_path / "t.json"
    arguments = ["bpe", str(tmp_path / "g"), "--vocab-size", "12", "--out", str(out), "--piece", "100"]
    assert main(arguments) == 0
    assert "trained on 4 sequences, 400 nt" in capsys.readouterr().out
    assert "N" not in json.loads(out.read_text())["model"]["vocab"]
    assert main([*arguments, "--sequences", "2", "--overwrite"]) == 0
    assert "trained on 2 sequences" in capsys.readouterr().out


def test_n_is_part_of_no_token_and_counts_as_unknown(tmp_path, capsys):
    corpus = corpus_of(tmp_path, ["ACGTNACGTN", "ACGTRACGT"] * 3)
    assert main(["bpe", corpus, "--vocab-size", "12", "--out", str(tmp_path / "t.json")]) == 0
    assert set("".join(json.loads((tmp_path / "t.json").read_text())["model"]["vocab"])) & set("NRY") == {"N"}  # [UNK]
    assert f"coverage: {1 - 9 / 57:.4%} of letters known" in capsys.readouterr().out


def test_fewer_tokens_than_asked_for_are_told(tmp_path, capsys):
    corpus = corpus_of(tmp_path, ["ACGT", "ACGT"])
    assert main(["bpe", corpus, "--vocab-size", "50", "--out", str(tmp_path / "t.json")]) == 0
    assert "12 tokens (50 were asked for; no more pairs occur often enough)" in capsys.readouterr().out


REFUSED = {
    "no such corpus folder": ["absent", "--overwrite"],
    "come before any merge": ["corpus", "--vocab-size", "7"],
    "--min-frequency must be 1 or more": ["corpus", "--min-frequency", "0"],
    "exists; choose another --out": ["corpus"],
}


@pytest.mark.parametrize("message", REFUSED)
def test_bad_usage_is_one_line(tmp_path, monkeypatch, capsys, message):
    monkeypatch.chdir(tmp_path)
    corpus_of(tmp_path, ["ACGTACGT"])
    capsys.readouterr()
    (tmp_path / "t.json").write_text("kept")
    assert main(["bpe", *REFUSED[message], "--out", "t.json"]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert (tmp_path / "t.json").read_text() == "kept"
