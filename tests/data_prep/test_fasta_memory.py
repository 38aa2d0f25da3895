"""Memory of the fasta stage does not grow with its input."""

import subprocess
import sys

import numpy as np
import pytest

MEASURE = "import resource, sys; from data_prep.__main__ import main; main(sys.argv[1:]); \
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def write_fasta(path, records):
    generator = np.random.default_rng(0)
    with open(path, "wb") as file:
        for first in range(0, records, 10_000):
            letters = generator.choice(np.frombuffer(b"ACGT", np.uint8), (10_000, 200))
            file.write(b"".join(b">r%d\n%s\n" % (first + row, letters[row].tobytes()) for row in range(10_000)))


@pytest.mark.slow
def test_peak_memory_is_the_same_for_ten_times_the_input(root, tmp_path):
    peaks = []
    for records in (200_000, 2_000_000):
        write_fasta(tmp_path / "x.fa", records)
        command = [
            sys.executable,
            "-c",
            MEASURE,
            "fasta",
            str(tmp_path / "x.fa"),
            "--out",
            str(tmp_path / f"{records}"),
        ]
        run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        peaks.append(int(run.stdout.split()[-1]))
    assert peaks[1] < 1.5 * peaks[0], f"peak KiB at 1x and 10x: {peaks}"
