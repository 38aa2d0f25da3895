"""VCFs with and without genotype columns, beside `bcftools query -f`."""

import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.benchmarks.rows import in_turn, row
from data_prep.formats.compression import BGZF_END
from data_prep.formats.contig_names import ContigNames
from data_prep.runtime.process import tune_process
from data_prep.variants.collect import CollectJob, collect
from data_prep.variants.vcf import VcfOptions

SAMPLES, RECORDS = 3202, 5000
SITES = 2_000_000  # records without samples
MEMBER_BYTES = 65280  # as `bgzip` cuts


def vcf_rows(scratch: Path) -> list[dict[str, Any]]:
    """Records per CPU second of a file with samples, from file to alleles checked against the genome."""
    codes = _codes(scratch, RECORDS)
    return _measured(scratch, f"VCF, {SAMPLES} samples", _with_samples(codes), RECORDS, ">= 1.5")


def sites_rows(scratch: Path) -> list[dict[str, Any]]:
    """The same of a file without samples."""
    codes = _codes(scratch, SITES)
    return _measured(scratch, "VCF, sites only", _sites(codes), SITES, ">= 1.0")


def _measured(scratch: Path, stage: str, lines: list[str], records: int, wanted: str) -> list[dict[str, Any]]:
    path = scratch / "benchmark.vcf.gz"
    _write(path, lines)
    tune_process()  # as the stage does
    job = CollectJob(path, VcfOptions(), {"chr1": scratch}, ContigNames(["chr1"], "benchmark"), 0.0, 0.001, scratch)
    sides: dict[str, Any] = {"ours": lambda: collect(job)}
    if shutil.which("bcftools"):
        command = ["bcftools", "query", "-f", "%CHROM\t%POS\t%REF\t%ALT\t%INFO/AF\n", str(path)]
        sides["bcftools"] = lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = in_turn(sides, rounds=5)
    rates = {name: records / value for name, value in seconds.items()}
    return [row(stage, "records/CPU s", rates["ours"], "bcftools query -f", rates.get("bcftools"), wanted)]


def _codes(scratch: Path, records: int) -> np.ndarray:
    """A contig of five bases a record."""
    codes = np.random.default_rng(0).integers(0, 4, 5 * records + 10).astype(np.uint8)
    np.save(scratch / "codes.npy", codes)
    return codes


def _header(codes: np.ndarray, columns: list[str]) -> list[str]:
    keys = [("AC", "A", "Integer"), ("AF", "A", "Float"), ("AN", "1", "Integer")]
    return [
        "##fileformat=VCFv4.2", f"##contig=<ID=chr1,length={len(codes)}>", '##FILTER=<ID=PASS,Description="x">',
        *(f'##INFO=<ID={name},Number={number},Type={kind},Description="x">' for name, number, kind in keys),
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">',
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", *columns]),
    ]  # fmt: skip


def _sites(codes: np.ndarray) -> list[str]:
    """One SNV every five bases with the columns that population files have."""
    generator = random.Random(0)
    lines = _header(codes, [])
    for record in range(SITES):
        pos0, count = 5 * record + 2, int(5008 * generator.betavariate(0.2, 2))
        code = int(codes[pos0])
        ref, alt = "ACGT"[code], "ACGT"[code - 1]
        lines.append(f"chr1\t{pos0 + 1}\trs{record}\t{ref}\t{alt}\t.\tPASS\tAC={count};AF={count / 5008:.6g};AN=5008")
    return lines


def _with_samples(codes: np.ndarray) -> list[str]:
    """One SNV every five bases, genotypes as rare as allele frequencies are."""
    generator = random.Random(0)
    lines = _header(codes, ["FORMAT", *(f"S{number}" for number in range(SAMPLES))])
    for record in range(RECORDS):
        pos0, frequency = 5 * record + 2, min(0.999, generator.betavariate(0.2, 2))
        ref = int(codes[pos0])
        genotypes = ["0|0"] * SAMPLES
        for _ in range(int(2 * frequency * SAMPLES)):
            genotypes[generator.randrange(SAMPLES)] = generator.choice(["0|1", "1|0", "1|1"])
        bases = "ACGT"[ref], "ACGT"[ref - 1]
        lines.append(
            "\t".join(["chr1", str(pos0 + 1), ".", *bases, ".", "PASS", f"AF={frequency:.6f}", "GT", *genotypes])
        )
    return lines


def _write(path: Path, lines: list[str]) -> None:
    text = ("\n".join(lines) + "\n").encode()
    with open(path, "wb") as file:
        for start in range(0, len(text), MEMBER_BYTES):
            file.write(_member(text[start : start + MEMBER_BYTES]))
        file.write(BGZF_END)


def _member(text: bytes) -> bytes:
    """One bgzip block (SAM specification, 4.1)."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = packer.compress(text) + packer.flush()
    head = b"\x1f\x8b\x08\x04" + bytes(6) + struct.pack("<H2sHH", 6, b"BC", 2, len(body) + 25)
    return head + body + struct.pack("<II", zlib.crc32(text), len(text))
