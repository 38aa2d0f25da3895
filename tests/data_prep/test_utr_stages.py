"""The commands `utr3` and `utr5`: options, presets, and what each broken input leads to."""

import gzip

import numpy as np
import pytest

from data_prep.__main__ import main
from tests.data_prep.utr_support import build, rows, stage_filters


@pytest.fixture
def toy(golden):
    return golden / "utrbert" / "utr_toy"


@pytest.fixture
def inputs(toy):
    return "--genome", toy / "genome.fa", "--annotation", toy / "gencode.gtf"


def test_long_utrs_become_pieces_that_join_to_the_utr(inputs, tmp_path):
    whole = rows(build(tmp_path / "w", *inputs, "--piece-len", 0, "--validation", 0))
    pieces = rows(build(tmp_path / "p", *inputs, "--piece-len", 20, "--min-length", 1, "--validation", 0))
    for transcript, sequence in whole.items():
        name = transcript.partition(":")[0]
        parts = [pieces[f"{name}:{number}"] for number in range(1, -(-len(sequence) // 20) + 1)]
        assert "".join(parts) == sequence
        assert all(len(part) == 20 for part in parts[:-1])


def test_source_tells_where_a_piece_lies(inputs, tmp_path):
    corpus = build(tmp_path / "out", *inputs, "--piece-len", 50, "--validation", 0)
    table = corpus.split("train")
    row = table.ids(range(len(table))).index("ENST04.1:2")
    source = table.gather_text("source", np.array([row])).rows()[0].decode()
    assert source == "THREE|chrA|-|151-160"  # 25 nt 5' UTR, 75 nt coding, pieces of 50 and 10 nt
    assert table.gather_text("gene", np.array([row])).rows() == [b"ENSG03.1"]


def test_utr_lm_preset_drops_short_ones_and_keeps_the_three_prime_end_of_long_ones(inputs, tmp_path):
    plain = rows(build(tmp_path / "a", *inputs, "--validation", 0, stage="utr5"))
    preset = rows(build(tmp_path / "b", *inputs, "--validation", 0, "--preset", "utr_lm", stage="utr5"))
    assert preset == {name: sequence for name, sequence in plain.items() if len(sequence) >= 30}
    cropped = rows(build(tmp_path / "c", *inputs, "--validation", 0, "--crop-to", 40, stage="utr5"))
    assert cropped["ENST02.3:1"] == plain["ENST02.3:1"][-40:]
    assert cropped["ENST01.1:1"] == plain["ENST01.1:1"]


def test_cropping_comes_before_the_search_for_duplicates(inputs, tmp_path):
    # ENST01 and ENST02 share the 30 nt next to the start codon.
    cropped = rows(build(tmp_path / "c", *inputs, "--validation", 0, "--crop-to", 30, stage="utr5"))
    assert "ENST01.1:1" in cropped
    assert "ENST02.3:1" not in cropped


def test_choice_per_gene(inputs, tmp_path):
    def names(choice, *more):
        corpus = build(
            tmp_path / choice, *inputs, "--per-gene", choice, "--validation", 0, "--duplicates", "keep", *more
        )
        return set(rows(corpus))

    assert {"ENST01.1:1", "ENST02.3:1"} <= names("all")
    assert "ENST01.1:1" not in names("longest_transcript")
    assert "ENST01.1:1" not in names("longest_utr")  # equal UTRs: the longer transcript


def test_canonical_takes_tagged_transcripts_only(inputs, toy, tmp_path):
    text = (toy / "gencode.gtf").read_text()
    tagged = text.replace('transcript_id "ENST01.1";', 'transcript_id "ENST01.1"; tag "Ensembl_canonical";')
    tagged = tagged.replace('transcript_id "ENST03.1";', 'transcript_id "ENST03.1"; tag "MANE_Select";')
    (tmp_path / "a.gtf").write_text(tagged)
    options = ("--genome", toy / "genome.fa", "--annotation", tmp_path / "a.gtf", "--per-gene", "canonical")
    assert set(rows(build(tmp_path / "out", *options, "--validation", 0))) == {"ENST01.1:1", "ENST03.1:1"}


def test_biotypes_incomplete_ends_and_letters_are_options(inputs, tmp_path):
    corpus = build(tmp_path / "a", *inputs, "--biotypes", "all", "--keep-incomplete", "--max-ambiguous", 0.1)
    found = {name for split in ("train", "validation") for name in rows(corpus, split)}
    assert {"ENST09.1:1", "ENST10.1:1"} <= found
    corpus = build(tmp_path / "b", *inputs, "--biotypes", "nonsense_mediated_decay", "--max-ambiguous", 0.1)
    assert set(rows(corpus)) == {"ENST10.1:1"}


def test_transcripts_that_cannot_tell_their_ends_need_a_stop_or_start_codon(tmp_path):
    def count(text, stage, *options):
        (tmp_path / "t.fa").write_text(text + TRANSCRIPT.replace("T1", "T0").replace("ACGTACGTACGT", "CCCCACGTACGT"))
        corpus = build(tmp_path / "o", "--transcripts", tmp_path / "t.fa", "--overwrite", *options, stage=stage)
        return stage_filters(corpus)["utr"]

    assert count(TRANSCRIPT, "utr3") == {}
    assert count(TRANSCRIPT.replace("TAA", "TAC"), "utr3") == {"no_stop_codon": 1}
    assert count(TRANSCRIPT.replace("TAA", "TAC"), "utr3", "--check-codons", "off") == {}
    assert count(TRANSCRIPT.replace("ATG", "CTG"), "utr5", "--check-codons", "on", "--min-length", 1) == {
        "no_start_codon": 1
    }
    assert count(TRANSCRIPT.replace("ATG", "CTG"), "utr5", "--min-length", 1) == {}


def test_dna_alphabet(inputs, tmp_path):
    rna = rows(build(tmp_path / "r", *inputs))
    dna = rows(build(tmp_path / "d", *inputs, "--alphabet", "dna"))
    assert dna == {name: sequence.replace("U", "T") for name, sequence in rna.items()}


def test_validation_is_whole_genes_and_shares_no_sequence_with_training(inputs, tmp_path):
    corpus = build(tmp_path / "a", *inputs, "--validation", 0.5, "--per-gene", "all", "--piece-len", 30)
    train, validation = corpus.split("train"), corpus.split("validation")
    genes = [
        set(table.gather_text("gene", np.arange(len(table))).rows()) for table in (train, validation)
    ]  # fmt: skip
    assert genes[0]
    assert genes[1]
    assert not genes[0] & genes[1]
    assert not set(rows(corpus).values()) & set(rows(corpus, "validation").values())


def test_a_gene_stays_on_its_side_when_its_version_changes(inputs, toy, tmp_path):
    (tmp_path / "a.gtf").write_text(
        (toy / "gencode.gtf").read_text().replace('gene_id "ENSG01.2"', 'gene_id "ENSG01.7"')
    )
    one = build(tmp_path / "one", *inputs, "--validation", 0.5)
    other = ("--genome", toy / "genome.fa", "--annotation", tmp_path / "a.gtf")
    two = build(tmp_path / "two", *other, "--validation", 0.5)
    assert rows(one, "validation") == rows(two, "validation")


def test_several_species_become_one_corpus_with_one_search_for_duplicates(inputs, toy, tmp_path):
    text = (toy / "gencode.gtf").read_text().replace("ENST", "ENSMUST").replace("ENSG", "ENSMUSG")
    (tmp_path / "mouse.gtf").write_text(text.replace("ENSMUST05", "ENSAAA05"))
    second = ("--genome", toy / "genome.fa", "--annotation", tmp_path / "mouse.gtf")
    one = build(tmp_path / "one", *inputs, "--validation", 0)
    both = build(tmp_path / "both", *inputs, *second, "--validation", 0)
    # Equal sequences: of each pair the smaller transcript id stays.
    assert set(rows(both).values()) == set(rows(one).values())
    assert {name for name in rows(both) if not name.startswith("ENSMUST")} == {"ENSAAA05.1:1"}
    assert len(both.manifest["sources"]) == 4


def test_transcript_fasta_alone_warns_that_it_cannot_filter_biotypes(toy, tmp_path, capsys):
    corpus = build(tmp_path / "out", "--transcripts", toy / "pc_transcripts.fa", "--check-codons", "off")
    assert "carries no biotypes" in capsys.readouterr().err
    assert stage_filters(corpus)["transcript_fasta"] == {}


def test_malformed_transcripts_and_missing_contigs_may_be_counted_instead(toy, tmp_path):
    (tmp_path / "g.fa").write_text((toy / "genome.fa").read_text().partition(">chrB")[0])
    options = ("--genome", tmp_path / "g.fa", "--annotation", toy / "gencode.gtf", "--on-missing-contig", "skip")
    corpus = build(tmp_path / "out", *options)
    assert stage_filters(corpus)["genome"] == {"contig_missing": 5}


def test_contigs_outside_the_filter_need_not_be_in_the_genome(toy, tmp_path):
    (tmp_path / "g.fa").write_text((toy / "genome.fa").read_text().partition(">chrB")[0])
    corpus = build(
        tmp_path / "out", "--genome", tmp_path / "g.fa", "--annotation", toy / "gencode.gtf", "--contigs", "A"
    )
    assert stage_filters(corpus)["transcripts"]["contig"] == 6


# message -> (file to change, how, further arguments)
BROKEN = {
    "a.gtf: 1 contig(s) missing in g.fa: chrB; the FASTA begins with chrA": (
        "genome.fa", lambda text: text.partition(">chrB")[0], ()),
    "adding 'chr' in the annotation would match 2 of them: give --match-chr": (
        "gencode.gtf", lambda text: text.replace("chr", ""), ()),
    "removing 'chr' in the annotation would match 2 of them": ("genome.fa", lambda text: text.replace("chr", ""), ()),
    "2 contig(s) missing in g.fa": (
        "genome.fa", lambda text: text.replace(">chr", ">scaffold"), ("--on-missing-contig", "skip")),
    "exon end 900 is beyond contig chrB of 890 nt in g.fa": ("genome.fa", lambda text: text[:-11] + "\n", ()),
    "FASTA name 'chrA' occurs twice": ("genome.fa", lambda text: text.replace("chrB", "chrA"), ()),
    "no training sequence is left (dropped: ": ("gencode.gtf", lambda text: text.replace("protein_coding", "x"), ()),
    "g.fa: no FASTA record": ("genome.fa", lambda text: "", ()),
    "a.gtf: no annotation rows": ("gencode.gtf", lambda text: "", ()),
    "a.gtf line 3: 1 tab-separated columns": ("gencode.gtf", lambda text: text.replace("\t", " "), ()),
    "a.gtf: transcript ENST01.1: no strand": (
        "gencode.gtf", lambda text: text.replace("\t+\t", "\t.\t"), ("--strict",)),
    "--min-length 600 is more than the longest record of 510 nt": ("genome.fa", str, ("--min-length", "600")),
    "--validation in 0 to below 1": ("genome.fa", str, ("--validation", "1")),
    "either --genome with --annotation, or --transcripts": ("genome.fa", str, ("--transcripts", "t.fa")),
    "2 FASTA but 1 --annotation": ("genome.fa", str, ("--genome", "g.fa")),
}  # fmt: skip


@pytest.mark.parametrize("message", BROKEN)
def test_broken_input_is_one_clear_line_and_nothing_is_written(toy, tmp_path, monkeypatch, capsys, message):
    name, change, more = BROKEN[message]
    files = {"genome.fa": "g.fa", "gencode.gtf": "a.gtf"}
    for original, copy in files.items():
        text = (toy / original).read_text()
        (tmp_path / copy).write_text(change(text) if original == name else text)
    monkeypatch.chdir(tmp_path)
    assert main(["utr3", "--genome", "g.fa", "--annotation", "a.gtf", "--out", "out", *more]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.startswith("error: ")
    assert shown.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gtf", "g.fa"]


TRANSCRIPT = ">T1|G1|-|-|N-1|N|30|UTR5:1-6|CDS:7-18|UTR3:19-30|\nACGTACATGGCCGCCTAAACGTACGTACGT\n"
BROKEN_TRANSCRIPTS = {
    "record T1: not a GENCODE transcript header": TRANSCRIPT.replace("|", " "),
    "record T1: 29 nt where the header says 30": TRANSCRIPT.replace("ACGTACATGG", "ACGTACATG"),
    "record T1: spans UTR5:1-6 CDS:8-18 UTR3:19-30 leave a gap": TRANSCRIPT.replace("CDS:7", "CDS:8"),
    "record T1: spans end at 18 of 30 nt": TRANSCRIPT.replace("UTR3:19-30|", ""),
    "occurs twice": TRANSCRIPT * 2,
    "no training sequence is left": TRANSCRIPT.replace("UTR5:1-6|CDS:7-18|UTR3:19-30|", "lncRNA|"),
    "cut off": gzip.compress(TRANSCRIPT.encode())[:-8],
}


@pytest.mark.parametrize("message", BROKEN_TRANSCRIPTS)
def test_broken_transcript_fasta_is_one_clear_line(tmp_path, monkeypatch, capsys, message):
    content = BROKEN_TRANSCRIPTS[message]
    (tmp_path / "t.fa").write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.chdir(tmp_path)
    assert main(["utr3", "--transcripts", "t.fa", "--out", "out"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["t.fa"]


def test_a_sound_transcript_fasta_of_that_form_works(tmp_path):
    (tmp_path / "t.fa").write_text(TRANSCRIPT)
    assert rows(build(tmp_path / "out", "--transcripts", tmp_path / "t.fa")) == {"T1:1": "ACGUACGUACGU"}
