"""What is read from VCF records, in every layout and compression, and what is dropped under which name."""

import gzip
import random
import re
from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data_prep.__main__ import main
from data_prep.errors import DataPrepError
from data_prep.formats.tab_lines import first_columns, located_lines
from data_prep.variants import mnps, vcf
from data_prep.variants.frequency import FrequencyField
from data_prep.variants.vcf import VcfOptions, VcfReader
from tests.data_prep.fuzz_support import fuzz
from tests.data_prep.variants_support import (
    HEADER,
    arguments,
    bgzip,
    build,
    dense_contig,
    filters,
    record,
    write_fasta,
    write_vcf,
)

SEQUENCE = "ACGT" * 200  # position p has letter ACGT[(p - 1) % 4]
OPTIONS = ("--window", 100, "--validation", 0)


@pytest.fixture
def genome(tmp_path):
    return write_fasta(tmp_path / "genome.fa", chr1=SEQUENCE)


@pytest.fixture
def corpus_of(genome, tmp_path):
    """Build a corpus from records; returns (corpus, dense rows of chr1)."""

    def make(*records, options=(), header=HEADER):
        vcf = write_vcf(tmp_path / "records.vcf", *records, header=header)
        corpus = build(genome, vcf, tmp_path / "out", *OPTIONS, *options)
        return corpus, dense_contig(corpus, "chr1")

    return make


ANCHOR = record(401, "A", "G", "AF=0.5")  # so that something is left


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("indel", record(1, "A", "AT")),
        ("indel", record(1, "AC", "A")),
        ("mnp", record(1, "AC", "GT")),
        ("star", record(1, "A", "*")),
        ("symbolic", record(1, "A", "<DEL>")),
        ("symbolic", record(1, "A", "A[chr1:20[")),
        ("no_alternative", record(1, "A", ".", "AF=.")),
        ("same_as_reference", record(1, "A", "A")),
        ("not_acgt", record(1, "A", "N")),
        ("not_acgt", record(1, "N", "A")),
        ("rare", record(1, "A", "C", "AF=0.02")),
        ("rare", record(1, "A", "C", "AF=0")),
        ("no_frequency", record(1, "A", "C", "DP=3")),
        ("no_frequency", record(1, "A", "C", "AF=.")),
        ("no_frequency", record(1, "A", "C", "AF=nan")),
        ("no_frequency", record(1, "A", "C", "AC=0;AN=0")),
        ("no_frequency", record(1, "A", "C", "XAF=0.5;AFX=0.5")),
        ("contig_not_in_genome", record(1, "A", "C", contig="chrUn")),
        ("contig_not_in_genome", record(1, "A", "C", contig="HLA*01:01")),
        ("beyond_contig", record(801, "A", "C")),
        ("beyond_contig", record(0, "A", "C")),
        ("reference_mismatch", record(1, "C", "A")),
    ],
)
def test_a_dropped_allele_is_counted_by_reason(corpus_of, reason, line):
    corpus, dense = corpus_of(line, ANCHOR)
    assert filters(corpus)["allele"] == {"kept": 1, reason: 1}
    assert np.flatnonzero(dense.max(axis=1) < 1).tolist() == [400]


@pytest.mark.parametrize(
    "lines",
    [
        [record(5, "A", "C,G", "AF=0.1,0.2")],
        [record(5, "A", "C", "AF=0.1"), record(5, "A", "G", "AF=0.2")],
        [record(5, "A", "G", "AF=0.2"), ANCHOR, record(5, "A", "C", "AF=0.1")],  # unsorted
        [record(5, "A", "C", "AF=0.4"), record(5, "A", "G", "AF=0.2"), record(5, "A", "C", "AF=0.1")],  # repeated
        [record(5, "A", "C,T,G", "AF=0.1,0.01,0.2")],
        [record(5, "A", "C,AT,G", "AF=0.1,0.3,0.2")],
        [record(5, "a", "c,g", "AF=0.1,0.2")],
        [record(5, "A", "C,G", "AC=10,20;AN=100")],
        [record(5, "A", "C,G", "AF=.,0.2;AC=10,99;AN=100")],
        [record(5, "A", "C,G", "DP=4;AF=0.1,0.2;AN=100")],
        [record(5, "A", "C,G", "AF=0.1,0.2\tGT\t0|1\t1|2")],
        [record(5, "A", "C,G", "AF=0.1,0.2").replace("\n", "\r\n")],
        [record(5, "A", "C,G", "AF=0.1,0.2"), "\n"],
    ],
)
def test_layouts_of_one_site_give_one_row(corpus_of, lines):
    _, dense = corpus_of(*lines)
    np.testing.assert_array_equal(dense[4], np.array([1 - (0.1 + 0.2), 0.1, 0.2, 0], np.float32))


@pytest.mark.parametrize(
    "line",
    [
        record(5, "A", "C", "AF=0.3"),
        record(5, "AC", "CC", "AF=0.3"),
        record(4, "TAC", "TCC,T", "AF=0.3,0.1"),
        record(3, "GTA", "GTC", "AF=0.3"),
        record(4, "ta", "tc", "AF=0.3"),
    ],
)
def test_an_snv_is_one_however_long_it_is_written(corpus_of, line):
    _, dense = corpus_of(line, ANCHOR)
    np.testing.assert_allclose(dense[4], [0.7, 0.3, 0, 0], rtol=1e-6)
    assert np.flatnonzero(dense.max(axis=1) < 1).tolist() == [4, 400]


def test_what_is_the_same_when_written_short_counts_as_a_duplicate(corpus_of):
    corpus, dense = corpus_of(record(5, "A", "C", "AF=0.2"), record(4, "TA", "TC", "AF=0.3"))
    assert dense[4, 1] == np.float32(0.3)
    assert filters(corpus)["site"] == {"kept": 1, "duplicate": 1}


def test_mnps_are_split_when_asked_and_bases_of_one_record_add_up(corpus_of):
    line = record(5, "ACG", "GCT,GCG", "AF=0.2,0.1")
    corpus, dense = corpus_of(line, ANCHOR, options=("--mnps", "split"))
    np.testing.assert_allclose(dense[4:7], [[0.7, 0, 0.3, 0], [0, 1, 0, 0], [0, 0, 0.8, 0.2]], rtol=1e-6)
    assert corpus.manifest["stages"][-1]["filters"][0]["changed"] == {"mnp_split": 1, "snv_of_a_longer_allele": 1}
    corpus, dense = corpus_of(line, ANCHOR, options=("--overwrite",))
    np.testing.assert_allclose(dense[4:7], [[0.9, 0, 0.1, 0], [0, 1, 0, 0], [0, 0, 1, 0]], rtol=1e-6)
    assert filters(corpus)["allele"] == {"kept": 2, "mnp": 1}


ONE, OTHER, SINGLE = record(5, "AC", "GT", "AF=0.2"), record(4, "TAC", "TGA", "AF=0.1"), record(5, "A", "G", "AF=0.05")


@pytest.mark.parametrize(
    "lines",
    [
        (record(4, "TAC", "TGT,TGA,TGC", "AF=0.2,0.1,0.05"),),
        (ONE, OTHER, SINGLE),  # as `bcftools norm -m -any` writes it
        (SINGLE, OTHER, ONE),
        (record(5, "AC", "GT,GA", "AF=0.2,0.1"), SINGLE),
        (record(5, "A", "G", "AF=0.9"), record(4, "TAC", "TGT", "AF=0.7"), ONE, OTHER, SINGLE),  # two again
    ],
)
def test_an_mnp_and_an_snv_of_one_base_add_up_in_whatever_records_they_are(corpus_of, lines):
    corpus, dense = corpus_of(*lines, options=("--mnps", "split"))
    np.testing.assert_allclose(dense[4:6], [[0.65, 0, 0.35, 0], [0.1, 0.7, 0, 0.2]], rtol=1e-6)
    site = corpus.manifest["stages"][-1]["filters"][1]
    again = 3 * (len(lines) == 5)  # an SNV, and both bases of an MNP
    assert site["dropped"] == ({"duplicate": again} if again else {})
    assert (site["kept"], site["changed"]) == (3, {"added_to_another_of_the_same_base": 2})
    assert filters(corpus)["allele"] == {"kept": 5 + again}


@pytest.mark.parametrize("rows", [1, mnps.ROWS])
def test_alleles_that_are_rare_each_count_where_they_make_a_base_frequent(corpus_of, monkeypatch, rows):
    monkeypatch.setattr(mnps, "ROWS", rows)
    lines = [
        record(5, "A", "G", "AF=0.01"), record(5, "AC", "GT", "AF=0.015"),  # G: 0.025; T: 0.015
        record(9, "A", "G", "AF=0.01"), ANCHOR,
    ]  # fmt: skip
    corpus, dense = corpus_of(*lines, options=("--mnps", "split"))
    np.testing.assert_allclose(dense[4], [0.975, 0, 0.025, 0], rtol=1e-6)
    assert np.flatnonzero(dense.max(axis=1) < 1).tolist() == [4, 400]
    assert filters(corpus) == {"allele": {"kept": 4, "rare": 1}, "site": {"kept": 2, "rare": 1}}


def test_haplotypes_of_one_base_above_one_leave_it_as_it_is(corpus_of):
    lines = [record(5, "A", "G", "AF=0.7"), record(5, "AC", "GT", "AF=0.6"), ANCHOR]
    corpus, dense = corpus_of(*lines, options=("--mnps", "split"))
    assert dense[4, 0] == 1
    assert filters(corpus)["site"] == {"kept": 2, "sum_above_one": 1}


def test_headers_in_the_middle_and_blank_lines_are_passed_over(corpus_of):
    corpus, _ = corpus_of(record(5, "A", "C"), HEADER, " \n", record(9, "A", "C"))
    assert filters(corpus)["allele"] == {"kept": 2}


@pytest.mark.parametrize(
    ("key", "info"),
    [
        ("CAF", "CAF=0.7,0.3"),
        ("CAF", "CAF=[0.7,0.3]"),
        ("TOPMED", "TOPMED=0.7,0.3"),
        ("FREQ", "FREQ=TOMMO:0.7,0.3"),
        ("FREQ:dbGaP_PopFreq", "FREQ=TOMMO:0.9,0.1|dbGaP_PopFreq:0.7,0.3"),
        ("AF_joint", "AF=0.9;AF_joint=0.3"),
        ("AF_joint", "AF=0.9;AC_joint=3;AN_joint=10"),
        ("RAF", "RAF=0.7,0.3"),  # Number=R in the header
    ],
)
def test_frequencies_of_every_layout_are_read(corpus_of, key, info):
    header = HEADER.replace("#CHROM", '##INFO=<ID=RAF,Number=R,Type=Float,Description="x">\n#CHROM')
    _, dense = corpus_of(record(5, "A", "C", info), options=("--af-field", key), header=header)
    np.testing.assert_allclose(dense[4], [0.7, 0.3, 0, 0], rtol=1e-6)


def test_several_studies_must_be_told_apart(genome, tmp_path, capsys):
    vcf_path = write_vcf(tmp_path / "in.vcf", record(5, "A", "C", "FREQ=TOMMO:0.9,0.1|GnomAD:0.7,0.3"))
    assert main(arguments(genome, vcf_path, tmp_path / "out", *OPTIONS, "--af-field", "FREQ")) == 2
    error = capsys.readouterr().err
    assert "FREQ lists several studies (TOMMO, GnomAD); give one, as in --af-field FREQ:STUDY\n" in error


def test_bcf_gives_the_alleles_of_the_vcf(tmp_path):
    pysam = pytest.importorskip("pysam")
    declared = (
        '##contig=<ID=chr1>\n##INFO=<ID=AF,Number=A,Type=Float,Description="x">\n'
        '##FILTER=<ID=q,Description="x">\n#CHROM'
    )
    lines = [record(5, "A", "C,G", "AF=0.25,0.5"), record(7, "G", "GA", "AF=0.5"), record(9, "A", "T", "AF=0.125")]
    write_vcf(tmp_path / "in.vcf", *lines, header=HEADER.replace("#CHROM", declared))
    with (
        pysam.VariantFile(str(tmp_path / "in.vcf")) as given,
        pysam.VariantFile(str(tmp_path / "in.bcf"), "wb", header=given.header) as out,
    ):
        for one in given:
            out.write(one)
    read = [np.concatenate([a for _, a in VcfReader(tmp_path / name)]).tolist() for name in ("in.vcf", "in.bcf")]
    assert len(read[0]) == 3
    assert read[0] == read[1]


def test_an_allele_of_frequency_one_replaces_the_reference(corpus_of):
    corpus, dense = corpus_of(record(5, "A", "C", "AF=1"))
    assert dense[4].tolist() == [0, 1, 0, 0]
    assert corpus.manifest["contigs"][0]["variants"] == 1


def test_another_frequency_field_falls_back_on_its_own_counts(corpus_of):
    info = "AF=0.9;AF_EUR=0.25;AC_EUR=1;AN_EUR=100", "AF=0.9;AC=1;AN=2;AC_EUR=3;AN_EUR=4"
    _, dense = corpus_of(record(5, "A", "C", info[0]), record(9, "A", "C", info[1]), options=("--af-field", "AF_EUR"))
    assert dense[[4, 8], 1].tolist() == [0.25, 0.75]


def test_filters_are_ignored_unless_asked_for(corpus_of, tmp_path):
    lines = record(5, "A", "C", filters="LowQual"), record(9, "A", "C", filters="."), ANCHOR
    assert filters(corpus_of(*lines)[0])["allele"] == {"kept": 3}
    strict, _ = corpus_of(*lines, options=("--filter-pass", "--overwrite"))
    assert filters(strict)["allele"] == {"kept": 2, "filter": 1}


@pytest.mark.parametrize(("min_af", "kept"), [(0, 4), (0.25, 2), (0.3, 1)])
def test_frequencies_must_exceed_the_threshold(corpus_of, min_af, kept):
    lines = [record(4 * number + 1, "A", "C", f"AF={af}") for number, af in enumerate((0.0001, 0.25, 0.3, 0.31))]
    corpus, _ = corpus_of(*lines, options=("--min-af", min_af))
    assert corpus.manifest["contigs"][0]["variants"] == kept


def test_records_at_bases_that_are_not_known_are_dropped(tmp_path):
    genome = write_fasta(tmp_path / "n.fa", chr1=SEQUENCE + "NNNRN" + SEQUENCE)
    vcf = write_vcf(tmp_path / "n.vcf", ANCHOR, record(802, "A", "C"), record(804, "A", "C"))
    corpus = build(genome, vcf, tmp_path / "out", *OPTIONS)
    assert filters(corpus)["allele"] == {"kept": 1, "at_ambiguous_base": 2}
    assert corpus.split("train").window_count(800) == 2


def test_plain_gzip_and_bgzip_give_the_same_alleles(tmp_path):
    rng = random.Random(5)
    choices = [("A", "AF=0.5"), ("C", "AF=0.1"), ("<CN0>", "AF=0.2"), ("T,G", "AF=0.5,0.25")]
    text = HEADER + "".join(record(pos, rng.choice("ACGT"), *rng.choice(choices)) for pos in range(1, 4000))
    forms = {"plain": text.encode(), "gzip": gzip.compress(text.encode()), "bgzip": bgzip(text.encode(), 777)}
    read = {}
    for form, data in forms.items():
        (tmp_path / form).write_bytes(data)
        reader = VcfReader(tmp_path / form)
        alleles = [(contig, row) for contig, rows in reader for row in rows.tolist()]
        read[form] = alleles, reader.records, reader.dropped
    assert read["plain"][1] == 3999
    assert read["plain"] == read["gzip"] == read["bgzip"]


FREQUENCIES = ["0", "1", "0.5", "0.", "1.0", "2e-05", "9.9E-1", "0.1,0.2", ".", "1.5", ".5", "5e-0", "1e-00", "nan",
               "0_1", "-0.1", "1e5", "0x1", "1e400"]  # fmt: skip


INFOS = ["AF={}", "DP=1;AF={};X", "EUR_AF={};AF=0.1", "AF={};AF=0.2", "AF=0.2;X;AF={}", "XAF=0.3;AF={}", "AF",
         "EUR_AF={}", "AC=1;AN=4", "AF={}\tGT\t0|1", "AF={};AF=0.2\tGT\t0|1", "AF={}\r", ";AF={}"]  # fmt: skip
COLUMNS = (
    ["chr1", "chr2", "", "c d"], ["7", "0", "", "x", "12345678901", "+1"], [".", ""], ["A", "c", "AC", "", "N"],
    ["G", "C", "a", "G,T", "*", "", "GT", "."], ["."], ["PASS", ".", "q10", ""],
)  # fmt: skip


@st.composite
def any_record(draw):
    value = draw(st.sampled_from(FREQUENCIES[:9] if draw(st.booleans()) else FREQUENCIES))
    return (
        "\t".join([draw(st.sampled_from(choices)) for choices in COLUMNS])
        + "\t"
        + draw(st.sampled_from(INFOS)).format(value)
    )


ANY_OPTIONS = st.builds(VcfOptions, st.sampled_from(["AF", "EUR_AF"]), st.booleans(), st.sampled_from(["keep", "drop"]))
AF_TWICE = ["\t".join(["chr1", "7", ".", "A", "G", ".", "PASS", f"AF={value};AF=0.2"]) for value in ("0.1,0.2", "0.1")]


@fuzz(300)
@given(ANY_OPTIONS, st.lists(any_record(), min_size=1, max_size=6))
@example(VcfOptions(), [AF_TWICE[0]])
@example(VcfOptions(), [AF_TWICE[0], "chr2\t7\t.\tA\tG\t.\tPASS\tAF=0"])
@example(VcfOptions(), [AF_TWICE[1] + "\tGT\t0|1"])
@example(VcfOptions(multiallelic="drop"), [AF_TWICE[1]])
def test_the_short_cut_for_plain_records_changes_nothing(options, lines):
    """Every record read closely gives the same alleles, counts and errors as with the short cut."""
    text = (HEADER + "\n".join(lines)).encode()

    def outcome():
        reader = VcfReader(Path("x.vcf"), options)
        try:
            alleles = [(contig, row) for contig, rows in reader for row in rows.tolist()]
        except DataPrepError as error:
            return str(error)
        return alleles, reader.records, reader.alleles, +reader.dropped

    with mock.patch.object(vcf, "text_blocks", return_value=[text]):
        quick = outcome()
        with mock.patch.object(vcf, "plain_rows", return_value=None):
            assert quick == outcome()
            with mock.patch.object(vcf, "plain_record", return_value=re.compile(rb"(?!)")):
                assert quick == outcome()


DECIMALS = st.one_of(
    st.floats(0, 1).map(lambda value: f"{value:.6g}"),
    st.floats(0, 1).map(str),
    st.decimals(0, 1, places=12).map(lambda value: f"{value:f}"),
    st.sampled_from(["0", "1", "1.", "0.", "1.0", "6.57e-06", "9.99999e-22", "1e-05", "5E-10", "0.0000000000000001"]),
)


@fuzz(200)
@given(st.data())
def test_a_megabyte_at_a_time_gives_what_line_by_line_gives(data):
    """Frequencies bit for bit, order, counts and line numbers, wherever the text is cut."""
    draw = data.draw
    key = draw(st.sampled_from(["AF", "AF_joint"]))
    options = VcfOptions(key, draw(st.booleans()), mnps=draw(st.sampled_from(["drop", "split"])))
    infos = [f"{key}={{}}", f"DP=1;{key}={{}};X", f"AC=1;X{key}=0.9;{key}={{}}", f"{key}={{}};X;{key}=0.2", f"{key}="]
    lines = []
    for number in range(draw(st.integers(1, 8))):
        contig = draw(st.sampled_from(["chr1"] * 9 + ["chr11", "1"])) if number else "chr1"
        alleles = draw(st.sampled_from(["A\tC", "G\tT", "t\tg", "C\tC", "AC\tGT", "A\tAT", "A\tC,G", "N\tA"]))
        info = draw(st.sampled_from(infos)).format(draw(DECIMALS) + (",0.25" if "," in alleles else ""))
        name = draw(st.sampled_from([".", f"rs1;{key}=0.5", "x"]))
        filters = draw(st.sampled_from(["PASS", ".", "q10", "PASSED"]))
        lines.append(f"{contig}\t{draw(st.integers(0, 10**10))}\t{name}\t{alleles}\t.\t{filters}\t{info}")
    if draw(st.integers(0, 9)) == 0:
        lines.insert(draw(st.integers(1, len(lines))), draw(st.sampled_from(["", "#x", "chr1\t1", "chr1\t0\t.\tA"])))
    text = (HEADER + "\n".join(lines) + draw(st.sampled_from(["", "\n"]))).encode()
    bounds = [0, *sorted(min(cut, len(text)) for cut in draw(st.lists(st.integers(30, 600), max_size=4))), len(text)]
    blocks = [text[start:stop] for start, stop in pairwise(bounds) if stop > start]

    def outcome():
        reader = VcfReader(Path("x.vcf"), options)
        try:
            alleles = [(contig, row) for contig, rows in reader for row in rows.tolist()]
        except DataPrepError as error:
            return str(error)
        alleles.sort(key=lambda allele: len(allele[1]))  # stable: bases of MNPs come apart, each kind in its order
        return alleles, reader.records, reader.alleles, +reader.dropped, +reader.changed

    with (
        mock.patch.object(vcf, "text_blocks", return_value=iter(blocks)),
        mock.patch.object(vcf, "TEXT_BYTES", draw(st.integers(1, 400))),
    ):
        quick = outcome()
    with (
        mock.patch.object(vcf, "text_blocks", return_value=[text]),
        mock.patch.object(vcf, "plain_rows", return_value=None),
        mock.patch.object(vcf, "plain_record", return_value=re.compile(rb"(?!)")),
    ):
        assert quick == outcome()


@given(st.lists(st.integers(0, 12_000), max_size=6), st.sampled_from([b"", b"\n"]))
@fuzz(60)
def test_columns_do_not_depend_on_where_blocks_are_cut(cuts, ending):
    lines = [
        b"##short",
        b"",
        b"a\tb\tc\td",
        b"a\tb\tc" + b"\t0|1" * 1000,
        b"a\t" + b"b" * 3000 + b"\tc\t0|0",
        b"x" * 3000,
    ]
    text = b"\n".join(lines) + ending
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    blocks = [text[start:stop] for start, stop in pairwise(bounds)]
    found = [(number, first_columns(*place, 3)[:3]) for number, *place in located_lines(blocks)]
    assert found == [(number, line.split(b"\t")[:3]) for number, line in enumerate(lines, 1) if line]


def test_high_coverage_layout_is_read(shared):
    path = shared / "data" / "variants" / "highcov_chr21_raw15.vcf"
    reader = VcfReader(path)
    alleles = np.concatenate([alleles for _, alleles in reader])
    assert (reader.records, reader.alleles, len(alleles)) == (15, 17, 16)
    assert reader.dropped == {"indel": 1}
    assert reader.header.contig_lengths == {"chr21": 46709983}
    assert alleles["frequency"][0] == 0.000616523
    europeans = np.concatenate([alleles for _, alleles in VcfReader(path, VcfOptions(af_field="AF_EUR"))])
    assert europeans["frequency"][1] == 0.105634
    passing = VcfReader(path, VcfOptions(filter_pass=True))
    kept = sum(len(alleles) for _, alleles in passing)
    assert kept + passing.dropped["filter"] + passing.dropped["indel"] == 17


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (b"AF=1.5", "AF 1.5 is not a frequency"),
        (b"AF=-0.1", "not a frequency"),
        (b"AF=inf", "not a frequency"),
        (b"AF=common", "'common' is not a number"),
        (b"AF=0.1,0.2", "AF has 2 values for 1 alleles"),
        (b"AF=0.1;DP=2;AF=0.1", "AF stands twice in INFO, expected once; keep one"),
        (b"AC=1;AN=2;AC=1", "AC stands twice"),
        (b"AC=7;AN=5", "not a frequency"),
        (b"AC=1;AN=2,3", "AN has 2 values"),
    ],
)
def test_a_frequency_that_cannot_be_is_an_error(info, message):
    with pytest.raises(ValueError, match=message):
        FrequencyField("AF").read(info, 1)
