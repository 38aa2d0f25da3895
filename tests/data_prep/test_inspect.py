"""The inspect stage says what is in a corpus, in text, JSON, pictures and one page."""

import json

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import SequenceWriter, open_corpus
from data_prep.filters.tally import Tally

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def corpus(tmp_path):
    tally = Tally()
    tally.keep("length", 3)
    tally.drop("length", "too_short", 1234)
    with SequenceWriter(
        tmp_path / "in", stage="test", parameters={}, columns=["rna_type", "structure", "mfe_kcal_per_mol"]
    ) as writer:
        writer.append(
            "train", ["a", "b", "c"], [b"AAAA", b"CCGGAA", b"UU"], rna_type=["x", "x", None],
            structure=["....", "(())..", ".."], mfe_kcal_per_mol=[-1.5, -2.5, None],
        )  # fmt: skip
        writer.finish(tally)
    return tmp_path / "in"


def test_json_holds_the_numbers(corpus, capsys):
    assert main(["inspect", str(corpus), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "sequences"
    assert found["fingerprint"] == open_corpus(corpus).fingerprint
    train = found["splits"]["train"]
    assert train["sequences"] == 3
    assert train["composition"] == {"A": 6, "C": 2, "G": 2, "U": 2}
    assert train["length_nt"] | {} == {
        "min": 2, "mean": 4.0, "max": 6, "p01": 2, "p05": 2, "p25": 2, "p50": 4, "p75": 6, "p95": 6, "p99": 6,
    }  # fmt: skip
    assert train["mfe_kcal_per_mol"] == {"rows": 2, "mean": -2.0, "std": 0.5}
    assert train["paired_fraction"] == pytest.approx(4 / 12, abs=1e-6)
    shares = np.array([6, 2, 2, 2]) / 12
    assert train["unigram_entropy_nats"] == pytest.approx(-(shares * np.log(shares)).sum(), abs=1e-6)


def test_table_and_page_show_counts_and_drops(corpus, tmp_path, capsys):
    assert main(["inspect", str(corpus), "--out", str(tmp_path / "report"), "--verify"]) == 0
    text = capsys.readouterr().out
    assert "too_short 1,234" in text
    assert "rna_type x" in text
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"index.html", "lengths.png", "composition.png", "types.png", "energies.png"}
    assert all((tmp_path / "report" / name).read_bytes().startswith(PNG) for name in names if name.endswith("png"))
    page = (tmp_path / "report" / "index.html").read_text()
    assert "too_short 1,234" in page
    assert page.count("data:image/png;base64,") == 4


def test_names_in_the_page_are_escaped(corpus, tmp_path):
    evil = tmp_path / "<script>"
    corpus.rename(evil)
    assert main(["inspect", str(evil), "--out", str(tmp_path / "report")]) == 0
    assert "<script>" not in (tmp_path / "report" / "index.html").read_text()


def test_allele_frequencies_are_shown_from_the_manifest(shared, tmp_path, capsys):
    variants = shared / "data" / "variants"
    build = ["allele-frequencies", "--genome", variants / "chr20a.fa", "--vcf", variants / "chr20a.vcf.gz"]
    assert main([*map(str, build), "--out", str(tmp_path / "af")]) == 0
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "af"), "--out", str(tmp_path / "report")]) == 0
    text = capsys.readouterr().out
    assert "variants_per_base" in text
    assert "indel" in text
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"index.html", "contigs.png"}


def test_wrong_places_are_one_line(corpus, tmp_path, capsys):
    for arguments, message in [
        ([str(tmp_path / "none")], "no such corpus folder"),
        ([str(tmp_path)], "no manifest.json"),
        ([str(corpus), "--out", str(corpus)], "is a corpus"),
    ]:
        assert main(["inspect", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
