"""``launch/evaluate.py`` as users call it."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.data_prep.variants_support import HEADER, record, write_fasta, write_vcf
from tests.evaluation.support import error_line, in_process, launch


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fasta") / "few.fa"
    path.write_text(">one\nACGUACGUAC\n>two here\nGGGGAAAACCCC\n")
    return path


def test_losses_of_a_run_come_with_baselines_bases_and_lengths(tiny_run, corpora, tmp_path):
    done = launch("evaluate.py", tiny_run, "--corpus", corpora["labeled"], "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    mlm = result["objectives"]["mlm"]
    last = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()][-1]
    assert mlm["loss"] == pytest.approx(last["validation/mlm/loss"], rel=1e-6)  # the figure of training itself
    assert {"loss", "trivial_loss", "accuracy", "perplexity", "letters", "by_base", "by_length"} <= set(mlm)
    assert set(mlm["by_base"]) == set("ACGU")
    chains = {f"markov_{side}_{order}" for side in ("left", "both") for order in range(1, 6)}
    assert chains | {"letters", "letters_given_shown", "nearest_relative"} <= set(mlm["letters"]["baselines"])
    for part in ("hidden", "shown", "all"):
        assert {"loss", "standard_error", "targets", "accuracy", "baselines", "best_baseline"} <= set(mlm[part])
        assert set(mlm[part]["baselines"]) == set(mlm["letters"]["baselines"])
        assert mlm[part]["baselines"][mlm[part]["best_baseline"]] == min(mlm[part]["baselines"].values())
    assert mlm["hidden"]["targets"] + mlm["shown"]["targets"] == mlm["all"]["targets"]
    assert mlm["all"]["loss"] == pytest.approx(mlm["loss"], rel=1e-5)
    for part in ("hidden", "shown", "all"):  # what training wrote down at its last evaluation
        for key in ("loss", "standard_error", "difference"):
            assert mlm[part][key] == pytest.approx(last[f"validation/mlm/{part}/{key}"], rel=1e-4, abs=1e-6)
    written = json.loads((tiny_run / "held_out.json").read_text())
    assert (written["step"], written["objectives"]["mlm"]["hidden"]["best_baseline"]) == (
        last["step"],
        mlm["hidden"]["best_baseline"],
    )


def test_parts_add_up_to_the_whole(tiny_run, corpora):
    _, out, _ = in_process("evaluate.py", tiny_run, "--corpus", corpora["labeled"], "--json")
    mlm = json.loads(out)["objectives"]["mlm"]
    for key, parts in (("letters", mlm["by_base"]), ("letters", mlm["by_length"])):
        assert sum(part["targets"] for part in parts.values()) == mlm[key]["targets"]
        for figure in ("loss", "accuracy"):
            total = sum(part["targets"] * part[figure] for part in parts.values())
            assert total / mlm[key]["targets"] == pytest.approx(mlm[key][figure])
    for figure in ("loss", "accuracy"):
        total = sum(mlm[part]["targets"] * mlm[part][figure] for part in ("hidden", "shown"))
        assert total / mlm["all"]["targets"] == pytest.approx(mlm["all"][figure])


def test_the_table_shows_what_json_holds(tiny_run, corpora, tmp_path):
    status, out, err = in_process("evaluate.py", tiny_run, "--corpus", corpora["labeled"], "--sequences", "8")
    assert status == 0, err
    assert "on 8 held-out sequences" in out
    assert [line.split()[0] for line in out.splitlines()[1:5]] == ["objective", "mlm,", "mlm,", "mlm,"]
    assert "learned" in out.splitlines()[-2]
    assert "markov_both_5" in out


def test_pseudo_perplexity_and_embeddings_of_a_fasta(tiny_run, fasta, tmp_path):
    _, out, _ = in_process("evaluate.py", tiny_run, "--fasta", fasta, "--json")
    result = json.loads(out)
    assert [(r["id"], r["nucleotides"]) for r in result["records"]] == [("one", 10), ("two", 12)]
    assert 1 < result["pseudo_perplexity"] < 40
    status, _, err = in_process("evaluate.py", tiny_run, "--embed", fasta, "--out", tmp_path / "e.npz", "--pool", "cls")
    assert status == 0, err
    assert np.load(tmp_path / "e.npz")["embeddings"].shape == (2, 32)


def test_variants_are_scored_with_any_file_of_snvs(tiny_run, tmp_path):
    write_fasta(tmp_path / "g.fa", chr1="ACGTACGTACGTACGTACGT", chr2="GGGGCCCC")
    write_vcf(
        tmp_path / "v.vcf",
        record(2, "C", "T", info="AF=0.1", contig="chr1"),
        record(5, "A", "G", info="DP=7", contig="chr1"),
        record(6, "C", "CT", info="AF=0.2", contig="chr1"),
        record(7, "G", "A,T,<DEL>", info="DP=3", contig="chr1"),
        record(8, "TAC", "T", contig="chr1"),
        record(9, "A", "*", contig="chr1"),
        record(11, "A", "C", contig="chr1"),
        record(1, "G", "A", info="AF=0.3", contig="chr2"),
    )
    files = ["--vcf", tmp_path / "v.vcf", "--genome", tmp_path / "g.fa", "--out", tmp_path / "s.tsv"]
    status, out, err = in_process("evaluate.py", tiny_run, *files, "--json")
    assert status == 0, err
    result = json.loads(out)
    assert (result["variants"], result["scored"], result["with_frequency"]) == (6, 5, 2)
    assert result["left_out"] == {"indel": 2, "symbolic": 1, "star": 1, "reference mismatch": 1}
    rows = [line.split("\t") for line in (tmp_path / "s.tsv").read_text().splitlines()]
    assert [row[3:5] for row in rows[1:]] == [["C", "T"], ["A", "G"], ["G", "A"], ["G", "T"], ["A", "C"], ["G", "A"]]
    assert [row[-1] == "" for row in rows[1:]] == [False] * 4 + [True, False]


def test_variants_of_a_header_with_another_length_are_refused(tiny_run, tmp_path):
    write_fasta(tmp_path / "g.fa", chr1="ACGTACGTACGTACGTACGT")
    told = HEADER.replace("#CHROM", "##contig=<ID=1,length=21>\n#CHROM")
    write_vcf(tmp_path / "v.vcf", record(2, "C", "T", contig="1"), header=told)
    line = error_line("evaluate.py", tiny_run, "--vcf", tmp_path / "v.vcf", "--genome", tmp_path / "g.fa")
    assert "contig 1: its header says 21 bases, the genome has 20: another assembly" in line


def test_variants_lie_on_the_contig_of_exactly_that_name(tiny_run, tmp_path):
    """UCSC's hg19 has two mitochondria, chrM and chrMT."""
    write_vcf(tmp_path / "v.vcf", record(2, "C", "T", contig="chrM"))
    files = ("--vcf", tmp_path / "v.vcf", "--genome", tmp_path / "g.fa")
    write_fasta(tmp_path / "g.fa", chrM="ACGTACGTACGT", chrMT="GGGGGGGGGG")
    status, out, err = in_process("evaluate.py", tiny_run, *files, "--json")
    assert status == 0, err
    assert json.loads(out)["left_out"] == {}
    write_fasta(tmp_path / "g.fa", chrMT="ACGTACGTACGT", M="ACGTACGTAC")
    assert "contig chrM of the VCF could be chrMT and M; leave one of them out" in error_line(
        "evaluate.py", tiny_run, *files
    )


def test_base_pairs_are_compared_with_known_structures(tiny_run, tmp_path):
    (tmp_path / "k.dbn").write_text(">a\nGGGGAAAACCCC\n((((....))))\n")
    status, out, err = in_process("evaluate.py", tiny_run, "--pairs", tmp_path / "k.dbn")
    assert status == 0, err
    assert "mean F1 of head 3" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nowhere", "--fasta", "few.fa"], "nowhere: no such file or folder"),
        (["RUN", "--fasta", "nowhere.fa"], "nowhere.fa: no such file"),
        (["RUN", "--fasta", "empty.fa"], "empty"),
        (["RUN", "--embed", "few.fa"], "--embed needs --out"),
        (["RUN", "--embed", "few.fa", "--out", "e.csv"], ".npz or .safetensors"),
        (["RUN", "--vcf", "v.vcf"], "--vcf needs --genome"),
        (["RUN", "--pairs", "few.fa"], "record 1: 2 lines, expected three"),
        (["RUN", "--fasta", "few.fa", "train.steps=3"], "settings belong to --corpus"),
        (["RUN", "--corpus", "nowhere"], "corpus 'nowhere' does not exist"),
        (["RUN", "--pairs", "empty.fa"], "empty.fa: empty; expected records of three lines"),
        (["RUN", "--fasta", "few.fa", "--sequences", "0"], "expected a positive integer, got '0'"),
        (["RUN", "--embed", "few.fa", "--out", "few.fa/e.npz"], "few.fa is a file, expected a folder"),
        (["RUN", "--corpus", "few.fa"], "few.fa: expected the folder of a corpus, got a file"),
        (["RUN"], "one of the arguments --corpus --fasta --embed --vcf --mutate --attention --pairs is required"),
        (["few.fa", "--fasta", "few.fa"], "expected a run folder"),
        (["RUN", "--fasta", "few.fa", "--out", "x"], "--out has no effect with --fasta, only with --embed or --vcf"),
        (["RUN", "--pairs", "few.fa", "--strand", "both"], "--strand has no effect with --pairs, only with --vcf"),
        (["RUN", "--fasta", "few.fa", "--window", "20"], "without --too-long windows"),
        (["RUN", "--mutate", "few.fa"], "--mutate needs --out FOLDER"),
        (["RUN", "--mutate", "few.fa", "--out", "few.fa"], "--out few.fa: expected a folder, got a file"),
    ],
)
def test_wrong_input_is_one_line_that_says_what_to_do(tiny_run, tmp_path, monkeypatch, arguments, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.fa").write_text(">one\nACGUACGUAC\n")
    (tmp_path / "empty.fa").write_text("")
    words = [str(tiny_run) if word == "RUN" else word for word in arguments]
    assert problem in error_line("evaluate.py", *words)
    assert not (tmp_path / "e.csv").exists()


def test_proteins_are_refused_and_letters_that_models_do_not_know_are_counted(tiny_run, tmp_path):
    (tmp_path / "protein.fa").write_text(">one\nMKVLWQESPH\n")
    for words in (["--fasta"], ["--out", tmp_path / "out.npz", "--embed"]):
        line = error_line("evaluate.py", tiny_run, *words, tmp_path / "protein.fa")
        assert "protein.fa: 10 of 10 letters are not nucleotides" in line
    (tmp_path / "some.fa").write_text(">one\nACGURYACGU\n>two\nACGU\n")
    status, out, err = in_process("evaluate.py", tiny_run, "--fasta", tmp_path / "some.fa")
    assert status == 0, err
    assert "other letters: 2 in 1 sequences" in out
