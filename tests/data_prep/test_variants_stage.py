"""The command `allele-frequencies`: contigs, splits, several files, kills and reruns, size."""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from data_prep.genomes.holdout import last_fraction
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

SEQUENCE = "ACGT" * 200
OPTIONS = ("--window", 100)


@pytest.fixture
def genome(tmp_path):
    contigs = {"chr1": SEQUENCE, "chr2": SEQUENCE + "N" * 50 + SEQUENCE[:300], "chrUn": "ACGT", "chr22": SEQUENCE}
    return write_fasta(tmp_path / "genome.fa", **contigs)


def one_vcf_per_contig(folder, contigs=("chr1", "chr2", "chr22")):
    lines = {name: [record(pos, "A", "C", f"AF=0.{pos}", name) for pos in (1, 5, 401)] for name in contigs}
    return lines, [write_vcf(folder / f"{name}.vcf", *lines[name]) for name in contigs]


def intervals(corpus, split):
    rows = np.load(corpus.folder / corpus.manifest["splits"][split]["intervals"]).tolist()
    return [(corpus.manifest["contigs"][contig]["name"], start, end) for contig, start, end in rows]


def test_named_contigs_are_held_out(genome, tmp_path):
    corpus = build(genome, one_vcf_per_contig(tmp_path)[1], tmp_path / "out", *OPTIONS, "--validation-contigs", "22")
    assert intervals(corpus, "train") == [("chr1", 0, 800), ("chr2", 0, 800), ("chr2", 850, 1150)]
    assert intervals(corpus, "validation") == [("chr22", 0, 800)]
    facts = corpus.manifest["splits"]["train"]
    assert facts["windows_of_100"] == corpus.split("train").window_count(100) == 701 + 701 + 201
    assert (facts["bases"], facts["variants"], facts["contigs"]) == (1900, 6, ["chr1", "chr2"])


def test_by_default_the_end_of_the_genome_is_held_out(genome, tmp_path):
    corpus = build(genome, one_vcf_per_contig(tmp_path)[1], tmp_path / "out", *OPTIONS, "--validation", 0.1)
    assert intervals(corpus, "train")[-1] == ("chr22", 0, 530)
    assert intervals(corpus, "validation") == [("chr22", 530, 800)]


def test_an_empty_validation_split_is_an_error_unless_it_was_asked_for(tmp_path, capsys):
    genome = write_fasta(tmp_path / "genome.fa", chr1=SEQUENCE)
    vcf = write_vcf(tmp_path / "one.vcf", record(5, "A", "C", "AF=0.3", "chr1"))
    words = ["allele-frequencies", "--genome", str(genome), "--vcf", str(vcf), "--out", str(tmp_path / "c")]
    assert main([*words, "--window", "500"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert "the validation split is empty" in error
    assert "--validation 0" in error
    assert not (tmp_path / "c").exists()
    assert main([*words, "--window", "500", "--validation", "0"]) == 0


@pytest.mark.parametrize(
    ("fraction", "train", "validation"),
    [
        (0.0, [(0, 0, 1000), (1, 5, 205)], []),
        (0.01, [(0, 0, 1000), (1, 5, 105)], [(1, 105, 205)]),  # one window at least
        (0.15, [(0, 0, 1000)], [(1, 5, 205)]),  # what is left of the interval would hold no window
        (0.5, [(0, 0, 600)], [(0, 600, 1000), (1, 5, 205)]),
        (0.99, [(0, 0, 1000), (1, 5, 205)], []),  # nothing would be left to train on
    ],
)
def test_the_held_out_end_is_cut_at_window_length(fraction, train, validation):
    splits = last_fraction(np.array([(0, 0, 1000), (1, 5, 205)]), fraction, 100)
    assert [tuple(row) for row in splits["train"].tolist()] == train
    assert [tuple(row) for row in splits["validation"].tolist()] == validation


def test_only_chosen_contigs_with_a_window_are_stored(genome, tmp_path):
    files = one_vcf_per_contig(tmp_path, ("chr1", "chr2", "chrUn", "chr22"))[1]
    corpus = build(genome, files, tmp_path / "out", *OPTIONS, "--contigs", "chr22,chr1,chrUn")
    assert [contig["name"] for contig in corpus.manifest["contigs"]] == ["chr1", "chr22"]
    assert filters(corpus)["allele"] == {"kept": 6, "contig_not_chosen": 3, "contig_without_window": 3}


def test_how_records_are_spread_over_files_does_not_matter(genome, tmp_path):
    lines, files = one_vcf_per_contig(tmp_path)
    every = [line for name in lines for line in lines[name]]
    mixed = random.Random(1).sample(every, len(every))
    one = build(genome, files, tmp_path / "one", *OPTIONS)
    for name, records in {"sorted": every, "mixed": mixed}.items():
        other = build(genome, write_vcf(tmp_path / f"{name}.vcf", *records), tmp_path / name, *OPTIONS)
        assert other.fingerprint == one.fingerprint
    separate = [write_vcf(tmp_path / f"{number}.vcf", line) for number, line in enumerate(mixed)]
    assert build(genome, separate, tmp_path / "many", *OPTIONS, "--executor", "local:3").fingerprint == one.fingerprint


def test_names_with_and_without_chr_are_matched_when_told(genome, tmp_path):
    vcf = write_vcf(tmp_path / "bare.vcf", record(1, "A", "C", contig="1"), record(5, "A", "C", contig="22"))
    corpus = build(genome, vcf, tmp_path / "out", *OPTIONS, "--match-chr")
    assert filters(corpus)["allele"] == {"kept": 2}
    assert dense_contig(corpus, "chr22")[4, 1] == np.float32(0.3)


def write_names(path, *rows):
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n")
    return path


REPORT = [
    ("# Assembly name:  GRCh38.p14",),
    ("# Sequence-Name", "Sequence-Role", "Assigned-Molecule", "Assigned-Molecule-Location/Type", "GenBank-Accn",
     "Relationship", "RefSeq-Accn", "Assembly-Unit", "Sequence-Length", "UCSC-style-name"),
    ("1", "assembled-molecule", "1", "Chromosome", "CM1.2", "=", "NC_1.11", "Primary Assembly", "800", "chr1"),
    ("P", "unplaced-scaffold", "1", "Chromosome", "KI2.1", "=", "NT_1.1", "Primary Assembly", "9", "na"),
]  # fmt: skip
NAME_TABLES = {
    "NCBI assembly report": REPORT,
    "chromAlias of today": [("# ucsc", "assembly", "refseq"), ("chr1", "1", "NC_1.11"), ("chr2", "2", "")],
    "chromAlias of old": [("1", "chr1", "assembly,ensembl"), ("NC_1.11", "chr1", "refseq"), ("2", "chr2", "ensembl")],
    "pairs": [("NC_1.11", "chr1"), ("NC_2.12", "chr2")],
}


@pytest.mark.parametrize("table", NAME_TABLES)
def test_contigs_of_other_names_are_matched_by_a_table(genome, tmp_path, table, capsys):
    vcf = write_vcf(tmp_path / "in.vcf", record(5, "A", "C", "AF=0.5", "NC_1.11"), record(9, "A", "C", contig="NT_1.1"))
    names = write_names(tmp_path / "names.txt", *NAME_TABLES[table])
    corpus = build(genome, vcf, tmp_path / "out", *OPTIONS, "--contig-aliases", names)
    assert dense_contig(corpus, "chr1")[4, 1] == 0.5
    assert filters(corpus)["allele"] == {"kept": 1, "contig_not_in_genome": 1}
    assert names.name in [source["name"] for source in corpus.manifest["sources"]]
    assert "warning" not in capsys.readouterr().err
    assert main(arguments(genome, vcf, tmp_path / "b", *OPTIONS)) == 2
    assert "give --contig-aliases" in capsys.readouterr().err


def test_a_table_that_no_name_needs_is_said(genome, tmp_path, capsys):
    vcf = write_vcf(tmp_path / "in.vcf", record(5, "A", "C", "AF=0.5"))
    names = write_names(tmp_path / "names.txt", ("NC_9.1", "chr9"), ("chr1", "NC_1.11"))
    build(genome, vcf, tmp_path / "out", *OPTIONS, "--contig-aliases", names)
    assert f"warning: {names}: no contig was found through this table" in capsys.readouterr().err
    for options in (("--contigs", "chr1,NC_1.11"), ("--validation-contigs", "NC_1.11")):
        genome_of_two = write_fasta(tmp_path / "two.fa", chr1=SEQUENCE, chr2=SEQUENCE)
        build(genome_of_two, vcf, tmp_path / "out", "--window", 100, *options, "--contig-aliases", names, "--overwrite")
        assert "warning" not in capsys.readouterr().err


def test_a_contig_of_the_header_that_no_record_names_may_have_any_length(genome, tmp_path):
    header = HEADER.replace("#CHROM", "##contig=<ID=chr2,length=1>\n##contig=<ID=chr1,length=800>\n#CHROM")
    vcf = write_vcf(tmp_path / "in.vcf", record(5, "A", "C", "AF=0.5"), header=header)
    assert build(genome, vcf, tmp_path / "out", *OPTIONS).manifest["contigs"][0]["variants"] == 1


def test_the_exact_name_comes_first_and_a_name_of_two_contigs_is_an_error(tmp_path, capsys):
    genome = write_fasta(tmp_path / "g.fa", chrM=SEQUENCE, chrMT=SEQUENCE, chr1=SEQUENCE)
    vcf = write_vcf(tmp_path / "in.vcf", record(5, "A", "C", contig="chrM"), record(5, "A", "C", contig="1"))
    corpus = build(genome, vcf, tmp_path / "out", *OPTIONS, "--match-chr", "--validation-contigs", "chrMT")
    assert [contig["variants"] for contig in corpus.manifest["contigs"]] == [1, 0, 1]
    assert intervals(corpus, "validation") == [("chrMT", 0, 800)]
    one = build(genome, vcf, tmp_path / "one", *OPTIONS, "--match-chr", "--contigs", "chrM", "--validation", 0)
    assert [contig["name"] for contig in one.manifest["contigs"]] == ["chrM"]
    write_vcf(tmp_path / "in.vcf", record(5, "A", "C", contig="MT"))
    for options in (("--match-chr",), ("--contigs", "MT")):
        assert main(arguments(genome, vcf, tmp_path / "b", *OPTIONS, *options)) == 2
        assert "contig MT could be chrM and chrMT among the contigs of" in capsys.readouterr().err


def test_a_vcf_given_twice_is_refused(genome, tmp_path, capsys):
    vcf = write_vcf(tmp_path / "in.vcf", record(5, "A", "C"))
    assert main(arguments(genome, [vcf, vcf], tmp_path / "out", *OPTIONS)) == 2
    assert "given twice" in capsys.readouterr().err


def test_odd_contig_names_are_kept_apart(tmp_path):
    genome = write_fasta(tmp_path / "odd.fa", **{"HLA*01:01": SEQUENCE, "HLA?01/01": SEQUENCE})
    records = [record(1, "A", "C", f"AF={af}", name) for af, name in ((0.5, "HLA*01:01"), (0.25, "HLA?01/01"))]
    corpus = build(genome, write_vcf(tmp_path / "in.vcf", *records), tmp_path / "out", *OPTIONS)
    assert dense_contig(corpus, "HLA*01:01")[0, 1] == 0.5
    assert dense_contig(corpus, "HLA?01/01")[0, 1] == 0.25


def test_a_whole_human_genome_fits_in_the_promised_size(shared, tmp_path):
    """3.1 Gb + 10 M variants in 3.2 GB: bytes per base and per variant of the format, and a bound on distinct rows."""
    data = shared / "data" / "variants"
    corpus = build(data / "chr20a.fa", data / "chr20a.vcf.gz", tmp_path / "out", "--validation", 0)
    size = {name.rsplit("/", 1)[-1]: facts["bytes"] for name, facts in corpus.manifest["files"].items()}
    header = 128
    assert size["codes.npy"] == header + 500_000
    assert size["pos0.npy"] + size["row.npy"] == 2 * header + 1715 * (4 + 2)
    # Distinct rows are bounded by the substitutions (12) times the allele counts above 2 % (AN = 6,404), whatever the
    # number of variants; on all 23 chromosomes that bound, of sites with one alternative, is 28 MB.
    distinct = 23 * 12 * int(6404 * 0.98) * 16
    assert 3.1e9 + 10e6 * (4 + 2) + distinct <= 3.2e9


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    """A genome of three contigs and two VCFs that take a second to read; and the files of an undisturbed run."""
    folder = tmp_path_factory.mktemp("larger")
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", np.uint8)
    sequences = {f"chr{n}": letters[rng.integers(0, 4, 60_000)].tobytes().decode() for n in (1, 2, 3)}
    genome = write_fasta(folder / "genome.fa", **sequences)
    files = []
    for number, names in enumerate((("chr1", "chr2"), ("chr2", "chr3"))):
        lines = []
        for name in names:
            for pos in np.sort(rng.choice(60_000, 30_000, replace=False)).tolist():
                ref = sequences[name][pos]
                lines.append(record(pos + 1, ref, "ACGT"["CGTA".index(ref)], f"AF={rng.random():.5f}", name))
        path = folder / f"{number}.vcf.gz"
        path.write_bytes(bgzip((HEADER + "".join(lines)).encode(), 60_000))
        files.append(path)
    build(genome, files, folder / "undisturbed", *OPTIONS)
    return genome, files, contents(folder / "undisturbed")


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def start(larger, out, root, **options):
    """The command in a session of its own, so that workers that outlive it can be ended with it."""
    command = [
        sys.executable,
        "-m",
        "data_prep",
        *arguments(larger[0], larger[1], out, *OPTIONS, "--executor", "local:1"),
    ]
    with open(out.with_name("stderr"), "wb") as errors:
        return subprocess.Popen(command, cwd=root, stderr=errors, stdout=errors, start_new_session=True, **options)


def end_session(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def journal(out):
    path = out.with_name(f".{out.name}.partial") / "journal.jsonl"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("finished", [1, 2, 4, 5, 6, 8])
def test_a_killed_run_goes_on_and_gives_the_same_bytes(larger, tmp_path, root, finished):
    """Killed as soon as its journal lists so many files (three contigs, the genome, two VCFs, then rows)."""
    out = tmp_path / "out"
    for _ in range(20):
        shutil.rmtree(out, ignore_errors=True)  # on a busy machine a run may be done before it is killed
        process = start(larger, out, root)
        while process.poll() is None and len(journal(out)) <= finished:
            time.sleep(0.002)
        process.kill()  # not its workers: what they still write must not harm the rerun
        process.wait()
        if not out.exists():
            break
    assert not out.exists()
    partial = out.with_name(".out.partial")
    noted = [next(iter(json.loads(line))) for line in journal(out)[1 : finished + 1]]
    before = {name: os.stat(partial / name).st_ino for name in noted}
    assert start(larger, out, root).wait() == 0
    end_session(process)
    assert contents(out) == larger[2]
    assert not partial.exists()
    # The codes that were whole are the very files of the killed run.
    codes = [name for name in noted if name.endswith("codes.npy")]
    assert codes
    assert [os.stat(out / name).st_ino for name in codes] == [before[name] for name in codes]


def test_a_full_disk_is_one_line_and_the_rerun_goes_on(larger, tmp_path, root):
    """A limit on file size stands in for the disk: writing fails in the middle of an array."""
    out = tmp_path / "out"
    limit = 50_000
    process = start(larger, out, root, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert process.wait() == 2
    error = out.with_name("stderr").read_text()
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not out.exists()
    assert start(larger, out, root).wait() == 0
    assert contents(out) == larger[2]


def test_a_dask_cluster_gives_the_same_bytes(larger, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        build(larger[0], larger[1], tmp_path / "out", *OPTIONS, "--executor", address)
    assert contents(tmp_path / "out") == larger[2]


def test_corpus_opens_as_windows(larger, tmp_path):
    out = tmp_path / "out"
    corpus = build(larger[0], larger[1], out, *OPTIONS)
    assert open_corpus(out).kind == "allele_frequencies"
    assert corpus.splits == ("train", "validation")
    windows = corpus.split("validation").gather(np.array([0, 5]), 100)
    assert windows.codes.shape == (2, 100)
