"""The card of a corpus tells what its manifest holds, in a form that a hub reads."""

import pytest
import yaml

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from data_prep.inspection.card import card_of


@pytest.fixture
def corpus(tmp_path):
    fasta = tmp_path / "my.fa"
    fasta.write_text("".join(f">r{n}\n{'ACGU' * (5 + n)}\n" for n in range(30)) + ">twice\n" + "ACGU" * 5 + "\n")
    assert main(["fasta", str(fasta), "--out", str(tmp_path / "mine"), "--validation", "0.2"]) == 0
    return tmp_path / "mine"


def test_front_matter_numbers_stages_drops_and_checksums_are_those_of_the_manifest(corpus):
    opened = open_corpus(corpus)
    text = card_of(opened, "mine", "cc0-1.0")
    _, matter, body = text.split("---\n", 2)
    assert yaml.safe_load(matter) == {
        "license": "cc0-1.0", "pretty_name": "mine", "tags": ["biology", "rna", "pretraining", "polymerase"],
        "size_categories": ["n<1K"],
    }  # fmt: skip
    assert opened.fingerprint in body
    (source,) = opened.manifest["sources"]
    assert f"| my.fa | {source['bytes']:,} | {source['sha256']} |" in body
    assert "same_sequence 1" in body
    stage = opened.manifest["stages"][0]
    assert all(f"{key}=" in body for key in stage["parameters"])
    for split in ("train", "validation"):
        assert f"{opened.manifest['splits'][split]['sequences']:,}" in body


def test_the_command_prints_or_writes_and_refuses_what_is_no_license(corpus, tmp_path, capsys):
    assert main(["card", str(corpus)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("---\nlicense: unknown\n")
    out = tmp_path / "cards" / "README.md"
    assert main(["card", str(corpus), "--out", str(out)]) == 0
    assert out.read_text() == printed
    assert main(["card", str(corpus), "--license", "my own!"]) == 2
    assert main(["card", str(corpus), "--out", str(tmp_path)]) == 2
    assert "expected a file, got a folder" in capsys.readouterr().err
