"""The command line: fast help, one clear line for every mistake."""

import subprocess
import sys

import pytest

from data_prep.__main__ import main
from data_prep.stages import STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_help_with_an_example(stage, capsys):
    with pytest.raises(SystemExit) as caught:
        main([stage, "--help"])
    assert caught.value.code == 0
    assert "example" in (text := capsys.readouterr().out).lower()
    assert f"python -m data_prep {stage}" in text


def test_help_imports_nothing_large(root):
    usage = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "data_prep", "fasta", "--help"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in usage.stderr.splitlines()}
    assert imported.isdisjoint({"torch", "datasets", "matplotlib", "RNA", "pretrain", "deepspeed"})


def test_overview_names_every_stage(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(stage in text for stage in STAGES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fsta"], "unknown stage 'fsta'; did you mean 'fasta'?"),
        (["allele_frequencies"], "did you mean 'allele-frequencies'?"),
        (["fasta", "--out", "x"], "FILE"),
        (["fasta", "a.fa"], "--out"),
        (["fasta", "a.fa", "--out", "x", "--no-such-option"], "--no-such-option"),
        (["fasta", "a.fa", "--out", "x", "--min-len", "9"], "--min-len is now called --min-length"),
        (["rnacentral", "a.fa", "--out", "x", "--val-fraction=0.1"], "--val-fraction is now called --validation"),
        (["fold", "c", "--out", "x", "--max-nt", "9"], "--max-nt is now called --max-length"),
        (["sample", "--out", "x", "--sequences", "many"], "--sequences"),
        (["sample", "--out", "x", "--sequences", "0"], "--sequences must be 1 or more"),
        (["sample", "--out", "x", "--bases", "30000"], "--bases has no effect without --kind allele-frequencies"),
        (
            ["sample", "--out", "x", "--kind", "allele-frequencies", "--sequences", "9"],
            "--sequences has no effect without --kind sequences; add that, or leave --sequences out",
        ),
        (
            ["utr3", "--genome", "g", "--annotation", "a", "--out", "x", "--ignore-id-versions"],
            "--ignore-id-versions has no effect without --transcripts",
        ),
        (["utr3", "--transcripts", "t", "--out", "x", "--match-chr"], "--match-chr has no effect without --genome"),
        (["utr5", "--transcripts", "t", "--out", "x", "--strict"], "--strict has no effect without --annotation"),
        (["genomes", "g", "--out", "x", "--region-seed", "1"], "--region-seed has no effect without --annotation"),
        (["motifs", "m", "--out", "x", "--top", "5"], "--top has no effect without --mine"),
        (
            ["rnacentral", "a.fa", "--out", "x", "--cluster-with", "mmseqs"],
            "--cluster-with has no effect without --duplicates containment",
        ),
        (
            ["rnacentral", "a.fa", "--out", "x", "--workers", "1"],
            "--workers has no effect without --duplicates containment",
        ),
        *(
            (
                [*stage, "--out", "x", "--validation-contigs", "chr2", "--validation", "0.01"],
                "--validation has no effect with --validation-contigs; leave one of them out",
            )
            for stage in (["genomes", "g"], ["allele-frequencies", "--genome", "g", "--vcf", "v"])
        ),
        (["genomes", "g", "--out", "x", "--weight", "g=2"], "--weight has no effect without a second genome"),
        (["genomes", "g", "--out", "x", "--balance-to", "g"], "--balance-to has no effect without a second genome"),
        (
            ["genomes", "g", "h", "--out", "x", "--weight", "g=2", "--weight", "g=3"],
            "--weight names g twice, with 2 and 3; give it once",
        ),
        (
            ["allele-frequencies", "--genome", "g", "--vcf", "v", "--out", "x", "--mnps=split", "--multiallelic=drop"],
            "--mnps split has no effect with --multiallelic drop",
        ),
        (["motifs", "--mine", "c", "--out", "x", "--min-length=9"], "--min-length has no effect without motif files"),
        (["fetch", "--list", "gencode_gtf"], "gencode_gtf has no effect with --list"),
        (["fetch", "--list", "--release", "40"], "--release has no effect with --list"),
        *(
            (
                ["fasta", "a.fa", "--out", "x", "--header-labels", "utr_lm", option, value],
                f"{option} {value}: a structure in the header is that of the whole sequence",
            )
            for option, value in (("--codons", "crop"), ("--gaps", "remove"))
        ),
        (
            ["genomes", "g", "--out", "x", "--validation-contigs", "chr1", "--validation-contigs", "chr2"],
            "--validation-contigs is given twice, with chr1 and chr2; give it once",
        ),
        (["split", "c", "--out", "x", "--clusters", "a", "--clusters=b"], "--clusters is given twice, with a and b"),
    ],
)
def test_wrong_usage_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not list(tmp_path.iterdir())
