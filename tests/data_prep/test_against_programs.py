"""On real data, folds are those of RNAfold and frequencies those of bcftools; skipped where a program is absent."""

import random
import re
import shutil
import subprocess

import numpy as np
import pytest

from data_prep.folding import vienna
from data_prep.formats.fasta import read_fasta
from data_prep.formats.genome import read_contigs
from tests.data_prep.variants_support import HEADER, build, dense_contig, record, write_fasta, write_vcf

FOLDED_NT = 200
MIN_AF = 0.02  # the default of the stage


def program(name):
    found = shutil.which(name)
    return found or pytest.skip(f"needs {name} on the PATH")


@pytest.mark.slow
def test_folds_are_those_of_rnafold(shared, tmp_path):
    """Energies whatever the version, structures where it is the one of the library."""
    rnafold = program("RNAfold")
    library = pytest.importorskip("RNA").__version__
    told = subprocess.run([rnafold, "--version"], check=True, capture_output=True, text=True).stdout.split()[-1]
    block = next(read_fasta(shared / "data" / "ncrna" / "nRC_test.fa"))
    wanted = [row for row in block.sequences.rows() if len(row) <= FOLDED_NT and vienna.is_foldable(row)][:300]
    text = b"".join(b">%d\n%s\n" % (number, row) for number, row in enumerate(wanted))
    out = subprocess.run([rnafold, "--noPS"], input=text, check=True, capture_output=True, cwd=tmp_path).stdout.decode()
    theirs = re.findall(r">(\d+)\n[A-Z]+\n([.()]+) \( *(-?\d+\.\d+)\)", out)
    ours = vienna.fold_chunk([vienna.normalize(row) for row in wanted])
    assert [int(number) for number, _, _ in theirs] == list(range(len(ours)))
    assert [fold.mfe_hundredths for fold in ours] == [round(100 * float(energy)) for _, _, energy in theirs]
    if told == library:
        assert [fold.structure for fold in ours] == [structure for _, structure, _ in theirs]


@pytest.mark.slow
def test_frequencies_are_those_of_bcftools(shared, tmp_path):
    """Every base of the slice: alleles split and shortened by `bcftools norm`, frequencies by `bcftools query`."""
    bcftools = program("bcftools")
    genome = shutil.copy(shared / "data" / "variants" / "chr20a.fa", tmp_path)
    vcf = shared / "data" / "variants" / "chr20a.vcf.gz"
    split = [bcftools, "norm", "-m", "-any", "-f", genome, vcf]
    (tmp_path / "split.vcf").write_bytes(subprocess.run(split, check=True, capture_output=True).stdout)
    columns = [bcftools, "query", "-f", "%CHROM %POS %REF %ALT %INFO/AF\n", tmp_path / "split.vcf"]
    lines = subprocess.run(columns, check=True, capture_output=True, text=True).stdout.splitlines()
    sites = {}
    for contig, position, reference, alternative, frequency in map(str.split, lines):
        if len(reference) == len(alternative) == 1 and alternative in "ACGT" and float(frequency) > MIN_AF:
            sites.setdefault((contig, int(position) - 1), {})[alternative] = float(frequency)
    corpus = build(genome, vcf, tmp_path / "out", "--validation", 0)
    assert len(sites) > 1000
    for contig in read_contigs(genome):
        bases = np.frombuffer(contig.sequence.upper(), np.uint8)
        expected = (bases[:, None] == np.frombuffer(b"ACGT", np.uint8)).astype(float)
        for pos0, alleles in ((pos0, alleles) for (name, pos0), alleles in sites.items() if name == contig.name):
            expected[pos0] *= 1 - sum(alleles.values())
            for letter, frequency in alleles.items():
                expected[pos0, "ACGT".index(letter)] = frequency
        np.testing.assert_allclose(dense_contig(corpus, contig.name), expected, atol=1e-6)


@pytest.mark.slow
def test_bases_of_split_mnps_have_the_frequencies_of_bcftools_atomize(tmp_path):
    """A made-up VCF of SNVs and MNPs, one and several alleles a record, nearby and overlapping."""
    bcftools = program("bcftools")
    rng = random.Random(1)
    bases = "".join(rng.choice("ACGT") for _ in range(9000))
    records = []
    for start in range(10, len(bases) - 10, 6):
        length = rng.choice([1, 1, 2, 3, 5, 8])  # longer than the way to the next record: overlapping
        reference = bases[start : start + length]
        others = {"".join(rng.choice("ACGT") for _ in reference) for _ in range(rng.randint(1, 3))} - {reference}
        if others:
            frequencies = ",".join(f"{rng.uniform(0.001, 0.12):.4f}" for _ in others)
            records.append(record(start + 1, reference, ",".join(sorted(others)), f"AF={frequencies}"))
    genome = write_fasta(tmp_path / "g.fa", chr1=bases)
    declared = '##INFO=<ID=AF,Number=A,Type=Float,Description="x">\n##contig=<ID=chr1,length=9000>\n'
    header = HEADER.replace("#CHROM", declared + "#CHROM")
    vcf = write_vcf(tmp_path / "in.vcf", *records, header=header)
    # One allele a record before they are cut: a star allele that `-a` writes has no frequency of its own.
    one_each = [bcftools, "norm", "-m", "-any", "-f", genome, vcf]
    split = subprocess.run(one_each, check=True, capture_output=True).stdout
    (tmp_path / "split.vcf").write_bytes(split)
    atomize = [bcftools, "norm", "-a", "--atom-overlaps", ".", tmp_path / "split.vcf"]
    (tmp_path / "atoms.vcf").write_bytes(subprocess.run(atomize, check=True, capture_output=True).stdout)
    columns = [bcftools, "query", "-f", "%POS %REF %ALT %INFO/AF\n", tmp_path / "atoms.vcf"]
    expected = np.zeros((len(bases), 4))
    for line in subprocess.run(columns, check=True, capture_output=True, text=True).stdout.splitlines():
        position, reference, alternative, frequency = line.split()
        assert len(reference) == len(alternative) == 1
        expected[int(position) - 1, "ACGT".index(alternative)] += float(frequency)
    expected[expected <= MIN_AF] = 0
    for pos0, letter in enumerate(bases):
        expected[pos0, "ACGT".index(letter)] += 1 - expected[pos0].sum()
    corpus = build(genome, vcf, tmp_path / "out", "--validation", 0, "--window", 100, "--mnps", "split")
    assert corpus.manifest["contigs"][0]["variants"] > 1000
    np.testing.assert_allclose(dense_contig(corpus, "chr1"), expected, atol=1e-6)
