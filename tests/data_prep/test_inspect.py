"""The inspect stage says what is in a corpus, in text, JSON, pictures and one page."""

import json
import random

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import SequenceWriter, open_corpus
from data_prep.corpus.tally import Tally
from data_prep.inspection.variants import density_of, spectrum_of

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
    assert "- Of 1,715 variants, " in text
    shown = {path.name for path in (tmp_path / "report").iterdir()}
    assert shown == {"index.html", "density.png", "spectrum.png", "contigs.png"}


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


def stored(folder, train, validation=(), types=None):
    """A corpus of these sequences."""
    with SequenceWriter(folder, stage="test", parameters={}, columns=["rna_type"] if types else []) as writer:
        for split, rows in (("train", train), ("validation", validation)):
            kinds = {"rna_type": types[: len(rows)]} if types else {}
            writer.append(split, [f"{split}{n}" for n in range(len(rows))], rows, **kinds)
        writer.finish(Tally())
    return folder


def sequences(count, seed=1, longest=300):
    dice = random.Random(seed)
    return [bytes(dice.choices(b"ACGU", k=dice.randint(30, longest))) for _ in range(count)]


def said(folder, capsys):
    assert main(["inspect", str(folder)]) == 0
    return [line[2:] for line in capsys.readouterr().out.splitlines() if line.startswith("- ")]


def test_a_corpus_without_oddities_says_so(tmp_path, capsys):
    assert said(stored(tmp_path / "c", sequences(400), sequences(40, 2)), capsys) == ["No unusual findings."]


def test_a_pile_up_at_the_length_of_a_crop_is_said(tmp_path, capsys):
    cropped = [row[:200] for row in sequences(400)]
    (sentence,) = said(stored(tmp_path / "c", cropped, sequences(40, 2)), capsys)
    count = sum(len(row) == 200 for row in cropped)
    assert f"{count} of 400 sequences ({count / 400:.1%}) of train have exactly 200 nt" in sentence
    assert "cropped or cut there" in sentence


def test_sequences_of_validation_that_are_in_train_and_repeats_are_said(tmp_path, capsys):
    train = sequences(300)
    sentences = said(stored(tmp_path / "c", [*train, train[0]], [train[5], train[6], *sequences(38, 2)]), capsys)
    assert sentences[0].startswith("1 of 301 sequences (0.3%) of train are there more than once")
    assert sentences[1].startswith("2 of 40 sequences (5.0%) of validation also occur in train")


def test_a_type_that_dominates_and_missing_types_are_said(tmp_path, capsys):
    types = ["rRNA"] * 250 + ["tRNA"] * 50 + [None] * 100
    sentences = said(stored(tmp_path / "c", sequences(400), sequences(40, 2), types), capsys)
    assert "100 of 400 sequences (25.0%) of train have no RNA type." in sentences
    assert "rRNA is 83% of the sequences of train that have a type." in sentences


def test_stretches_of_n_and_an_empty_split_are_said(tmp_path, capsys):
    rows = sequences(300)
    rows[7] = rows[7][:10] + b"N" * 150 + rows[7][10:]
    sentences = said(stored(tmp_path / "c", rows), capsys)
    assert sentences[0] == "The split validation is empty: nothing can be judged by it."
    assert "1 hold a stretch of 20 or more N (the longest has 150)" in sentences[1]


def test_the_page_shows_sentences_and_pictures_before_tables(corpus, tmp_path):
    assert main(["inspect", str(corpus), "--out", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.index("<li>") < page.index("<img") < page.index("<table>")


@pytest.fixture
def alleles(tmp_path):
    """Two contigs: variants all over the first but for its middle, none on the second."""
    dice = random.Random(5)
    letters = {name: "".join(dice.choices("ACGT", k=20_000)) for name in ("one", "two")}
    (tmp_path / "g.fa").write_text("".join(f">{name}\n{text}\n" for name, text in letters.items()))
    header = "##fileformat=VCFv4.2\n" + "".join(f"##contig=<ID={name},length=20000>\n" for name in letters)
    lines = [
        f"one\t{pos0 + 1}\t.\t{base}\t{'C' if base == 'A' else 'A'}\t.\tPASS\tAF={frequency}"
        for number, pos0 in enumerate(range(0, 20_000, 50))
        if not 8_000 <= pos0 < 12_000
        for base, frequency in [(letters["one"][pos0], (0.03, 0.2, 0.8)[number % 3])]
    ]
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "v.vcf").write_text(header + columns + "\n".join(lines) + "\n")
    arguments = [
        "allele-frequencies",
        "--genome",
        tmp_path / "g.fa",
        "--vcf",
        tmp_path / "v.vcf",
        "--out",
        tmp_path / "af",
    ]
    assert main([*map(str, arguments)]) == 0
    return tmp_path / "af"


def test_gaps_along_contigs_and_the_frequency_spectrum_of_variants_are_said(alleles, capsys):
    capsys.readouterr()
    sentences = said(alleles, capsys)
    assert any(sentence.startswith("No variant lies on 1 of 2 contigs: two") for sentence in sentences)
    assert "one has no variant from 8,001 to 12,000, where about 64 would be usual." in sentences
    assert any(
        sentence.startswith("Of 320 variants, 34% have a frequency below 5 %; at 33% the reference")
        for sentence in sentences
    )


def test_density_and_spectrum_are_those_of_the_input(alleles):
    corpus = open_corpus(alleles)
    one, two = density_of(corpus)
    assert (one.variants, two.variants, one.width) == (320, 0, 100)
    assert one.counts[:80].tolist() == [2] * 80
    assert one.counts[80:120].tolist() == [0] * 40
    assert one.known.tolist() == [100] * 200
    found = np.sort(spectrum_of(corpus).astype(np.float64).round(3))
    assert {value: int((found == value).sum()) for value in np.unique(found)} == {0.03: 108, 0.2: 106, 0.8: 106}
