"""Memory of the stages does not grow with their input; `-rP` shows the peaks."""

import subprocess
import sys

import numpy as np
import pytest

# The peak of the program itself: what getrusage says begins with the size of the process that started it.
MEASURE = """import sys
from data_prep.__main__ import main
main(sys.argv[1:])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))"""
CONTIG_NT, VARIANT_EVERY = 2_000_000, 100


def letters(generator, *shape):
    return generator.choice(np.frombuffer(b"ACGT", np.uint8), shape)


def write_records(path, records):
    generator = np.random.default_rng(0)
    with open(path, "wb") as file:
        for first in range(0, records, 10_000):
            rows = letters(generator, 10_000, 200)
            file.write(b"".join(b">r%d rRNA\n%s\n" % (first + row, rows[row].tobytes()) for row in range(10_000)))


def write_genome_with_variants(genome, vcf, contigs):
    """An SNV every 100 nt, frequencies of all sizes."""
    generator = np.random.default_rng(0)
    with open(genome, "wb") as fasta, open(vcf, "wb") as variants:
        variants.write(b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for contig in range(contigs):
            bases = letters(generator, CONTIG_NT).tobytes()
            fasta.write(b">c%d\n%s\n" % (contig, bases))
            for pos0 in range(0, CONTIG_NT, VARIANT_EVERY):
                ref = bases[pos0 : pos0 + 1]
                alt = b"C" if ref == b"A" else b"A"
                values = contig, pos0 + 1, ref, alt, pos0 / CONTIG_NT
                variants.write(b"c%d\t%d\t.\t%s\t%s\t.\tPASS\tAF=%.6f\n" % values)


def inputs(stage, folder, times):
    """Writes the input; the arguments that name it."""
    if stage == "allele-frequencies":
        write_genome_with_variants(folder / "x.fa", folder / "x.vcf", 3 * times)
        return ["--genome", str(folder / "x.fa"), "--vcf", str(folder / "x.vcf")]
    write_records(folder / "x.fa", 200_000 * times)
    return [str(folder / "x.fa")]


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "limit"), [("fasta", 1.5), ("rnacentral", 1.6), ("allele-frequencies", 1.5)])
def test_peak_memory_stays_for_ten_times_the_input(root, tmp_path, stage, limit):
    peaks = []
    for times in (1, 10):
        arguments = [stage, *inputs(stage, tmp_path, times), "--out", str(tmp_path / f"out{times}")]
        command = [sys.executable, "-c", MEASURE, *arguments]
        run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        peaks.append(int(run.stdout.split()[-1]) * 1024 / 1e6)
    print(f"{stage}: peak {peaks[0]:.0f} MB, at ten times the input {peaks[1]:.0f} MB")
    assert peaks[1] < limit * peaks[0]
