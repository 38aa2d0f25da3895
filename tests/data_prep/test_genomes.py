"""Genomes to a corpus: what is stored, what is dropped, and what is refused in one line."""

import gzip
import json

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from data_prep.genomes.contigs import joined, stretches
from data_prep.genomes.named import Genomes
from data_prep.genomes.regions import RegionOptions, balanced_regions
from data_prep.genomes.store import Assembly, assembly_name

SEQUENCES = {"chr1": "ACGTNNNNacgtRYACGTAA" * 10, "chr2": "GGGCCC" * 20, "tiny": "ACGT", "unknown": "N" * 90}
ANNOTATION = """##gff-version 3
chr1\tx\tmRNA\t101\t150\t.\t+\t.\tID=t1
chr1\tx\texon\t101\t120\t.\t+\t.\tParent=t1
chr1\tx\texon\t131\t150\t.\t+\t.\tParent=t1
chr2\tx\tmRNA\t31\t60\t.\t-\t.\tID=t2
chr2\tx\texon\t31\t60\t.\t-\t.\tParent=t2
gone\tx\texon\t1\t60\t.\t-\t.\tParent=t3
"""


def fasta(folder, name="g.fa", sequences=None):
    path = folder / name
    text = "".join(f">{contig} more\n{letters}\n" for contig, letters in (sequences or SEQUENCES).items())
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def build(folder, *options, sources=None):
    out = folder / "corpus"
    arguments = [*map(str, sources or [fasta(folder)]), "--out", str(out), *map(str, options)]
    assert main(["genomes", *arguments, "--overwrite"]) == 0
    return open_corpus(out, verify=True)


def everything(corpus, split="train"):
    """Contig name -> letters of all stored contigs, case as stored."""
    table = corpus.split(split)
    names = (corpus.folder / "contig_names.txt").read_text().split()
    count = len(names)
    pieces = table.read(np.arange(count), np.zeros(count, np.int64), table.contigs[:, 2], soft_mask=True)
    letters = np.frombuffer(b"ACGTN", np.uint8)[pieces.codes.values] | pieces.soft_mask.astype(np.uint8) << 5
    rows = np.split(letters, pieces.codes.offsets[1:-1])
    return {name: row.tobytes().decode() for name, row in zip(names, rows, strict=True)}


@pytest.mark.parametrize("form", [[], ["--bytes"]])
def test_every_base_comes_back(tmp_path, form):
    corpus = build(tmp_path, "--window", 4, "--keep-case", *form)
    plain = {name: text.replace("R", "N").replace("Y", "N") for name, text in SEQUENCES.items() if name != "unknown"}
    assert everything(corpus) == plain
    without = build(tmp_path, "--window", 4, *form)
    assert everything(without) == {name: text.upper() for name, text in plain.items()}
    assert without.manifest["columns"] == []
    (assembly,) = corpus.manifest["assemblies"]
    assert assembly["other_bases"] == 60
    assert assembly["soft_masked"] == 40


def test_a_base_takes_a_quarter_of_a_byte(tmp_path):
    draw = np.random.default_rng(0)
    big = {"c": "".join(draw.choice(list("ACGTacgt"), 200_000))}
    corpus = build(tmp_path, sources=[fasta(tmp_path, sequences=big)])
    stored = sum(facts["bytes"] for name, facts in corpus.manifest["files"].items() if name.startswith("assemblies/"))
    assert stored <= 200_000 / 4 + 1000  # headers of the arrays


def test_dropped_contigs_are_counted_and_named(tmp_path, capsys):
    corpus = build(tmp_path, "--window", 8, "--min-contig", 100, "--exclude-contigs", "chr2")
    said = capsys.readouterr().out
    assert "dropped 1 contigs, contig excluded: chr2" in said
    assert "dropped 2 contigs (94 bases), contig too short: tiny, unknown" in said
    (filters,) = corpus.manifest["stages"][-1]["filters"]
    assert filters == {"filter": "contigs", "kept": 1, "dropped": {"contig_excluded": 1, "contig_too_short": 2}}
    assert corpus.manifest["assemblies"][0]["dropped"]["contig_too_short"] == {
        "contigs": 2, "bases": 94, "first_names": ["tiny", "unknown"]
    }  # fmt: skip
    few = build(tmp_path, "--window", 4, "--max-n", 0.1)
    assert (few.folder / "contig_names.txt").read_text().split() == ["chr2", "tiny"]


def test_splits_by_contig_and_by_share(tmp_path):
    corpus = build(tmp_path, "--window", 4, "--validation-contigs", "chr2", "--test-contigs", "tiny")
    assert corpus.splits == ("train", "validation", "test")
    assert [sorted(set(corpus.split(split).intervals[:, 0])) for split in corpus.splits] == [[0], [1], [2]]
    everywhere = sum(corpus.split(split).bases for split in corpus.splits)
    shared = build(tmp_path, "--window", 4, "--validation", 0.2)
    bases = [shared.split(split).bases for split in shared.splits]
    assert sum(bases) == everywhere
    assert bases[1] == pytest.approx(0.2 * everywhere, abs=4)
    assert build(tmp_path, "--window", 4, "--validation", 0).split("validation").bases == 0


def test_a_second_run_does_nothing_and_another_recipe_needs_to_be_asked(tmp_path, capsys):
    genome = fasta(tmp_path)
    arguments = ["genomes", str(genome), "--out", str(tmp_path / "c"), "--window", "4"]
    assert main(arguments) == 0
    first = open_corpus(tmp_path / "c").fingerprint
    assert main(arguments) == 0
    assert "already complete" in capsys.readouterr().out
    assert main([*arguments, "--keep-case"]) == 2
    assert main([*arguments, "--overwrite", "--keep-case"]) == 0
    assert open_corpus(tmp_path / "c").fingerprint != first


def test_labels_of_a_bed_file_are_splits(tmp_path):
    bed = tmp_path / "i.bed"
    bed.write_text("# note\nchr2\t0\t50\tvalid\nchr1\t5\t60\ttrain\nchr1\t100\t120\ttest\nchr1\t20\t25\n")
    corpus = build(tmp_path, "--window", 4, "--intervals", bed, "--test-contigs", "tiny", "--validation", 0)
    found = {split: corpus.split(split).region_intervals("intervals").tolist() for split in corpus.splits}
    assert found == {"train": [[0, 5, 60], [0, 20, 25]], "validation": [[1, 0, 50]], "test": [[0, 100, 120]]}


def test_balanced_regions_are_exons_promoters_and_as_much_of_the_rest(tmp_path):
    annotation = tmp_path / "a.gff3"
    annotation.write_text(ANNOTATION)
    bases = 5000
    assembly = Assembly("g", "f", contigs=[("chr1", 0, bases), ("chr2", bases, bases)])
    assembly.intervals = [(0, 0, bases), (1, 0, bases)]
    options = RegionOptions(window=20, flank=5, promoter=50, jitter=0, seed=1)
    regions, counts = balanced_regions(assembly, annotation, options)
    assert counts == {
        "exons": 3, "promoters": 2, "rows_on_other_contigs": 1, "regions": 2, "random_windows": (110 + 90) // 20
    }  # fmt: skip
    inside = {(contig, at) for contig, start, end in regions.tolist() for at in range(start, end)}
    expected = [(0, 100 - 50 - 5, 150 + 5), (1, 30 - 5, 60 + 50 + 5)]  # upstream of a minus strand is behind its end
    assert {(c, at) for c, s, e in expected for at in range(s, e)} <= inside
    assert len(inside) <= 200 + 10 * 20
    again, _ = balanced_regions(assembly, annotation, options)
    assert again.tolist() == regions.tolist()
    moved, _ = balanced_regions(assembly, annotation, RegionOptions(20, 5, 50, 10, 1))
    assert moved.tolist() != regions.tolist()
    assembly.intervals = [(0, 0, 120), (0, 130, bases), (1, 0, bases)]
    cut, _ = balanced_regions(assembly, annotation, options)
    assert not {(0, at) for at in range(120, 130)} & {(c, at) for c, s, e in cut.tolist() for at in range(s, e)}


def test_regions_through_the_command_line(tmp_path):
    annotation = tmp_path / "a.gff3"
    annotation.write_text(ANNOTATION.replace("gone", "chr2"))
    corpus = build(tmp_path, "--window", 4, "--annotation", annotation, "--region-window", 10, "--validation", 0)
    assert len(corpus.split("train").region_intervals("balanced"))


def test_assemblies_are_weighed_to_give_as_many_windows_as_one(tmp_path, capsys):
    draw = np.random.default_rng(3)
    files, annotations = [], []
    for name, size in (("small", 3000), ("large", 9000)):
        text = "".join(draw.choice(list("ACGT"), size))
        files.append(fasta(tmp_path, f"{name}.fa", {"c": text}))
        rows = "".join(f"c\tx\texon\t{at}\t{at + 99}\t.\t+\t.\tParent=t\n" for at in range(500, size - 500, 1000))
        (tmp_path / f"{name}.gff3").write_text(f"##gff-version 3\n{rows}")
        annotations += ["--annotation", f"{name}={tmp_path / f'{name}.gff3'}"]
    options = ["--window", 20, "--region-window", 20, "--validation", 0, *annotations]
    corpus = build(tmp_path, *options, "--balance-to", "small", sources=files)
    small, large = corpus.manifest["assemblies"]
    intervals = corpus.split("train").region_intervals("balanced")
    windows = [
        int(((own[:, 2] - own[:, 1] - 20) // 10 + 1).sum()) for own in (intervals[intervals[:, 0] == c] for c in (0, 1))
    ]
    assert small["weight"] == 1.0
    assert large["weight"] == pytest.approx(windows[0] / windows[1], abs=1e-6)
    assert large["weight"] < 0.5
    arguments = ["genomes", *map(str, files), "--out", str(tmp_path / "x"), "--window", "20"]
    for wrong in (["--balance-to", "small"], ["--balance-to", "other", *annotations]):
        assert main([*arguments, *wrong]) == 2
        assert "--balance-to" in capsys.readouterr().err


def test_files_of_several_genomes_are_told_apart_by_name(tmp_path):
    one, two = fasta(tmp_path, "one.fa.gz"), fasta(tmp_path, "two.fna")
    bed = tmp_path / "i.bed"
    bed.write_text("chr1\t5\t60\n")
    corpus = build(tmp_path, "--window", 4, "--intervals", f"two={bed}", "--validation", 0, sources=[one, two])
    assert corpus.split("train").region_intervals("intervals").tolist() == [[3, 5, 60]]
    assert [assembly["name"] for assembly in corpus.manifest["assemblies"]] == ["one", "two"]


def test_names_of_assemblies_are_those_of_their_files(tmp_path):
    names = ["a.fa", "GCF_1.2_genomic.fna.gz", "x.fasta.bgz", "plain"]
    assert [assembly_name(tmp_path / name) for name in names] == ["a", "GCF_1.2_genomic", "x", "plain"]


REFUSED = {
    "i.bed line 1: chr1:5-900 reaches beyond its contig of 200 bases": ("chr1\t5\t900\n", ()),
    "i.bed line 2: contig chrX is not in g": ("chr1\t5\t9\nchrX\t5\t9\n", ()),
    "i.bed line 1: 9-5 is not an interval": ("chr1\t9\t5\n", ()),
    "i.bed line 1: expected contig, start and end (BED)": ("chr1\tfive\t9\n", ()),
    "i.bed: no interval in it": ("# only a note\n", ()),
    "no interval lies on a contig of g": ("tiny\t0\t3\n", ("--min-contig", "5")),
    "--contigs and --exclude-contigs both name chr2": (None, ("--contigs", "chr1,2", "--exclude-contigs", "chr2")),
    "nothing is left to train on": (None, ("--validation-contigs", "chr1,chr2,tiny")),
    "name the same contig": (None, ("--validation-contigs", "chr1", "--test-contigs", "chr1")),
    "--validation-contigs: chr7 is not among the contigs used": (None, ("--validation-contigs", "chr7")),
    "the validation split is empty": (None, ("--contigs", "chr2", "--window", "90", "--validation", "0.1")),
    "the validation split is empty, ": (None, ("--contigs", "chr2", "--window", "90")),
    "no contig with 900 bases": (None, ("--window", "900")),
    "--max-n must lie between 0 and 1": (None, ("--max-n", "3")),
}


@pytest.mark.parametrize("message", REFUSED)
def test_bad_input_is_one_line_and_leaves_nothing_behind(tmp_path, capsys, message):
    bed, options = REFUSED[message]
    arguments = ["genomes", str(fasta(tmp_path)), "--out", str(tmp_path / "c"), "--window", "4", *options]
    if bed is not None:
        (tmp_path / "i.bed").write_text(bed)
        arguments += ["--intervals", str(tmp_path / "i.bed")]
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "c").exists()
    assert not list(tmp_path.glob(".c*"))


def test_a_genome_without_bases_is_refused(tmp_path, capsys):
    for sequences, message in (({"c": "R" * 60}, "holds no A, C, G or T"), ({"c": "N" * 60}, "no contig with 4 bases")):
        path = fasta(tmp_path, sequences=sequences)
        assert main(["genomes", str(path), "--out", str(tmp_path / "c"), "--window", "4"]) == 2
        assert message in capsys.readouterr().err


def test_an_annotation_of_another_genome_is_refused(tmp_path, capsys):
    path = tmp_path / "a.gff3"
    for text, message in (
        (ANNOTATION.replace("chr1", "1").replace("chr2", "2"), "no exon, mRNA or transcript row on the contigs of g"),
        (ANNOTATION.replace("150", "950"), "reaches beyond its contig of 200 bases"),
    ):
        path.write_text(text)
        arguments = ["genomes", str(fasta(tmp_path)), "--out", str(tmp_path / "c"), "--window", "4"]
        assert main([*arguments, "--annotation", str(path)]) == 2
        assert message in capsys.readouterr().err


def test_a_killed_run_goes_on_with_the_assembly_after_the_last_whole_one(tmp_path, monkeypatch):
    from data_prep.genomes import store

    one, two = fasta(tmp_path, "one.fa"), fasta(tmp_path, "two.fa")
    arguments = ["genomes", str(one), str(two), "--out", str(tmp_path / "c"), "--window", "4"]
    real = store.read_contigs

    def killed(path, *rest):
        if path == two:
            raise KeyboardInterrupt
        return real(path, *rest)

    monkeypatch.setattr(store, "read_contigs", killed)
    assert main(arguments) == 130
    read = []
    monkeypatch.setattr(store, "read_contigs", lambda path, *rest: read.append(path) or real(path, *rest))
    assert main(arguments) == 0
    assert read == [two]
    fresh = tmp_path / "fresh"
    assert main([*arguments[:4], str(fresh), *arguments[5:]]) == 0
    assert open_corpus(fresh).fingerprint == open_corpus(tmp_path / "c", verify=True).fingerprint
    assert json.loads((tmp_path / "c" / "manifest.json").read_text())["files"].keys() == {
        str(path.relative_to(tmp_path / "c")) for path in (tmp_path / "c").rglob("*") if path.is_file()
    } - {"manifest.json"}


def test_stretches_are_found_across_pieces(monkeypatch):
    from data_prep.genomes import contigs

    monkeypatch.setattr(contigs, "PIECE", 7)
    text = b"aaAAAAAaaaaaaaaaaaaAAaaA"
    assert stretches(text, ord("a"), ord("z")).tolist() == [[0, 2], [7, 19], [21, 23]]
    assert joined(np.array([[0, 3], [1, 2], [3, 5], [7, 9]])).tolist() == [[0, 5], [7, 9]]


def test_contigs_are_numbered_through():
    genomes = Genomes(
        [Assembly("a", "f", contigs=[("x", 0, 5), ("y", 8, 4)]), Assembly("b", "g", contigs=[("x", 0, 6)])]
    )
    assert genomes.first_contig == [0, 2]
    assert genomes.contigs.tolist() == [[0, 0, 5], [0, 8, 4], [1, 0, 6]]
