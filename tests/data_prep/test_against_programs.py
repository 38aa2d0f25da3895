"""On real data, folds are those of RNAfold and frequencies those of bcftools; skipped where a program is absent."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from data_prep.folding import vienna
from data_prep.formats.fasta import read_fasta
from data_prep.formats.genome import read_contigs
from tests.data_prep.variants_support import build, dense_contig

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
