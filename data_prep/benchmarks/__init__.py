"""How fast the stages are beside the tools a user would pick instead, for `launch/benchmark.py data --corpus-stages`.

Each comparison makes its own input, runs both sides in turn in one process, and reports CPU seconds (machines are
shared; these count the work whoever else is there). Peers that are not installed are named as skipped.
"""

from data_prep.benchmarks.fasta import fasta_rows
from data_prep.benchmarks.fold import fold_rows
from data_prep.benchmarks.relatives import relative_rows
from data_prep.benchmarks.vcf import sites_rows, vcf_rows
from data_prep.benchmarks.windows import storage_rows, window_rows

BENCHMARKS = {
    "fasta": fasta_rows,
    "vcf": vcf_rows,
    "sites": sites_rows,
    "windows": window_rows,
    "fold": fold_rows,
    "storage": storage_rows,
    "relatives": relative_rows,
}

__all__ = ["BENCHMARKS"]
