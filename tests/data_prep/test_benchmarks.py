"""`launch/benchmark.py data --corpus-stages` measures every stage beside its peer; here on tiny inputs."""

import json
import sys
from importlib import util

import pytest

from data_prep.benchmarks import fasta, fold, relatives, vcf, windows
from pretrain.benchmarking import tokens

# stage -> what its rows are called, and what is asked of each
ASKED = {
    "fasta": {"fasta.gz to corpus": ">= 0.5"},
    "vcf": {"VCF, 20 samples": ">= 1.5"},
    "sites": {"VCF, sites only": ">= 1.0"},
    "windows": {"windows of 510": ">= 15, and >= 100,000/s", "windows of 510, 2 bits a base": ">= 50,000/s"},
    "fold": {"fold, 2 processes": ">= 0.95"},
    "storage": {"3.1 Gb + 10 M variants": "<= 3.2 GB", "3.1 Gb, 2 bits a base, 5 M repeats": "<= 0.8 GB"},
    "relatives": dict.fromkeys(("relatives", "strangers"), "1 M of 120 nt in 10 min, 2 cores"),
    "tokens": {
        **{f"tokens {name}": ">= 600 MB/s"
           for name in ("ernie_rna", "rnaernie", "mutbert", "utrbert_3mer", "utrbert_6mer")},
        **{f"tokens {name}": ">= 200 MB/s"
           for name in ("gpn", "hyenadna", "bytes", "methylbert", "codon", "kmer6_nonoverlapping")},
        "tokens bpe": ">= 1",
    },
}  # fmt: skip


@pytest.fixture
def run(root, monkeypatch, capsys):
    """The command in this process, on inputs a thousandth of the size."""
    for module, sizes in {
        fasta: {"RECORDS": 40}, vcf: {"SAMPLES": 20, "RECORDS": 30, "SITES": 300}, fold: {"ROWS": 4},
        windows: {"BASES": 20_000, "BATCHES": 4, "BATCH": 8}, tokens: {"SEQUENCES": 3, "ROUNDS": 3},
        relatives: {"SEQUENCES": 80},
    }.items():  # fmt: skip
        for name, value in sizes.items():
            monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = util.spec_from_file_location("launch_benchmark", root / "launch/benchmark.py")
    launch = util.module_from_spec(spec)
    spec.loader.exec_module(launch)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmark.py", "data", "--corpus-stages", *arguments])
        status = launch.main()
        return status, capsys.readouterr()

    return call


@pytest.mark.parametrize("stage", ASKED)
def test_each_stage_is_measured_beside_its_peer_and_printed_as_json(run, stage):
    status, printed = run(stage, "--json")
    assert status == 0
    report = json.loads(printed.out.splitlines()[-1])
    assert set(report["hardware"]) == {"processor", "cores", "date"}
    assert {row["stage"]: row["wanted"] for row in report["rows"]} == ASKED[stage]
    for row in report["rows"]:
        assert row["ours"] > 0
        if row["peer"] is None:  # pysam, pyfastx and bcftools are no dependencies
            assert row["skipped"] == f"{row['peer_name']} is not installed"
        else:
            assert row["ratio"] == pytest.approx(row["ours"] / row["peer"], rel=0.05, abs=0.001)


def test_a_whole_genome_fits_in_3_2_gigabytes_with_variants_and_in_0_8_without(run):
    with_variants, packed = json.loads(run("storage", "--json")[1].out)["rows"]
    assert 3.1 < with_variants["ours"] <= 3.2
    assert 0.77 < packed["ours"] <= 0.8


def test_people_get_a_table_and_a_wrong_name_one_line(run):
    status, printed = run("storage")
    assert status == 0
    assert "3.1 Gb + 10 M variants" in printed.out
    status, printed = run("nope")
    assert status == 2
    assert printed.err.startswith("error: unknown benchmark 'nope'; choose from fasta, vcf")
    assert printed.err.count("\n") == 1
