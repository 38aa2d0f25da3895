"""One VCF file to the alleles that the corpus uses, checked against the genome, in one scratch file per contig."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from data_prep.corpus.genome import ARRAYS
from data_prep.errors import DataPrepError, shown_name
from data_prep.formats.contig_lengths import refuse_other_length
from data_prep.formats.contig_names import ContigNames, bare_name, some_names
from data_prep.runtime.console import progress
from data_prep.runtime.executor import Workers, processes
from data_prep.variants.frequency import advice_without_frequency
from data_prep.variants.mnps import PART
from data_prep.variants.reference import ReferenceCheck
from data_prep.variants.vcf import VcfOptions, VcfReader

COMMON, RARE, PARTS = KINDS = ("alleles", "rare", "parts")  # of files


@dataclass(frozen=True)
class CollectJob:
    """What `collect` does; plain data, so that another process can do it.

    contigs: contig of the genome -> folder of its arrays, or the reason why its alleles are dropped.
    names: which of these contigs a name in the VCF means.
    min_af: alleles must be more frequent. max_ref_mismatch: tolerated fraction of SNVs whose REF is not the genome's.
    scratch: where `collect` makes a folder of its own: a worker that outlives a killed run cannot disturb the next one.
    """

    vcf: Path
    options: VcfOptions
    contigs: Mapping[str, Path | str]
    names: ContigNames
    min_af: float
    max_ref_mismatch: float
    scratch: Path


def collect(job: CollectJob) -> dict[str, Any]:
    """Write the alleles of one VCF, a file of ALLELE records per contig in file order.

    Where MNPs are split, their bases are in a file of PART records, and rare SNVs in one of ALLELE records: whether a
    base is rare is known when all that have it are added up.

    Returns {"folder" of these files, "contigs" as the VCF calls them, "records", "alleles", "kept", "dropped": by
    reason, "changed": by what was done}. DataPrepError for a file that is not a sound VCF, gives no frequency or was
    called on another assembly.
    """
    out = Path(mkdtemp(prefix="vcf_", dir=job.scratch))
    reader = VcfReader(job.vcf, job.options)
    checks: dict[str, ReferenceCheck] = {}
    written: set[str] = set()
    met: dict[str, bool] = {}  # contig of the VCF -> whether the genome has it
    kept = with_frequency = 0
    # One contig is mapped at a time: what is mapped counts as memory of this process.
    codes_of = lru_cache(1)(lambda place: np.load(place / ARRAYS["codes"], mmap_mode="r"))
    place_of = lru_cache(None)(lambda contig: job.contigs.get(job.names.find(contig) or ""))
    with progress(description=job.vcf.name, unit=" records") as bar:
        for name, alleles in reader:
            contig = name.decode(errors="backslashreplace")
            with_frequency += len(alleles)
            place = place_of(contig)
            met[contig] = place is not None
            if place is None:
                _refuse_if_only_chr_differs(job, contig)
                place = "contig_not_in_genome"
            if isinstance(place, str):
                reader.dropped[place] += len(alleles)
                continue
            codes = codes_of(place)
            if contig not in checks:
                refuse_other_length(job.vcf, contig, reader.header.contig_lengths, len(codes))
            check = checks.setdefault(contig, ReferenceCheck(len(codes)))
            alleles = check.agreeing(alleles, codes, reader.dropped)
            if alleles.dtype == PART:
                chosen = {PARTS: alleles}
            else:
                is_common = alleles["frequency"] > job.min_af
                chosen = {COMMON: alleles[is_common]}
                if job.options.mnps == "split":
                    chosen[RARE] = alleles[~is_common]
                else:
                    reader.dropped["rare"] += len(alleles) - len(chosen[COMMON])
            for kind, rows in chosen.items():
                with open(alleles_file(out, place, kind), "ab") as file:
                    rows.tofile(file)
                written.add(file.name)
                kept += len(rows) if kind != RARE else 0
            bar.update(reader.records - bar.n)
    for path in written:
        with open(path, "ab") as file:
            os.fsync(file.fileno())  # the caller notes the whole VCF as done
    if met and not any(met.values()):
        raise DataPrepError(
            f"{job.vcf}: none of its contigs ({some_names(met)}) is in the genome ({some_names(job.contigs)}); where "
            "only names differ, give --contig-aliases"
        )
    if reader.dropped["no_frequency"] and not with_frequency:
        key = job.options.af_field
        advice = advice_without_frequency(key, str(job.vcf), reader.header.info_keys, reader.header.has_samples)
        raise DataPrepError(f"{job.vcf}: no substitution has a frequency under {key}; {advice}")
    for contig, check in checks.items():
        if check.means_another_assembly(job.max_ref_mismatch):
            raise DataPrepError(
                f"{job.vcf}: contig {contig}: {check.mismatched:,} of {check.checked:,} SNVs disagree with the genome "
                f"({check.example}); give the FASTA the variants were called on, or raise --max-ref-mismatch"
            )
    counts = {"records": reader.records, "alleles": reader.alleles, "kept": kept, "dropped": dict(+reader.dropped)}
    return {"folder": out.name, "contigs": list(met), **counts, "changed": dict(+reader.changed)}


def alleles_file(folder: Path, contig: Path, kind: str) -> Path:
    """The file of this kind in `folder`, made by `collect`, of the contig whose arrays lie in `contig`."""
    return folder / f"{contig.name}.{kind}"


def collect_all(jobs: Sequence[CollectJob], executor: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number of the job, its counts) as jobs finish, on the workers at this address; a single job in this process."""
    scheme, _, rest = executor.partition(":")
    if len(jobs) < 2 and scheme == "local" and processes(rest):
        yield from enumerate(map(collect, jobs))
        return
    with Workers(executor) as workers:
        for number, (counts,) in workers.map_chunks(_collect_each, [[job] for job in jobs]):
            if counts is None:
                raise OSError(f"{jobs[number].vcf}: the worker that read it was killed twice (out of memory?)")
            yield number, counts


def _collect_each(jobs: list[CollectJob]) -> list[dict[str, Any]]:
    return [collect(job) for job in jobs]


def _refuse_if_only_chr_differs(job: CollectJob, contig: str) -> None:
    for name in job.contigs:
        if bare_name(name) == bare_name(contig):
            raise DataPrepError(
                f"{job.vcf}: contig {shown_name(contig)} is called {name} in the genome; give --match-chr"
            )
