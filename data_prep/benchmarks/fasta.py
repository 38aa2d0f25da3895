"""A gzip FASTA to a corpus, beside readers that only read it."""

import contextlib
import gzip
import io
import shutil
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.benchmarks.rows import in_turn, row
from data_prep.stages.command import main

RECORDS = 60_000


def fasta_rows(scratch: Path) -> list[dict[str, Any]]:
    """M nucleotides per CPU second of `python -m data_prep fasta`, and of pysam and pyfastx reading alone."""
    path, out = scratch / "benchmark.fa.gz", scratch / "corpus"
    nucleotides = _write(path)

    def ours() -> None:
        shutil.rmtree(out, ignore_errors=True)
        with contextlib.redirect_stdout(io.StringIO()):
            assert main(["fasta", str(path), "--out", str(out)]) == 0

    sides: dict[str, Callable[[], Any]] = {"ours": ours}
    for name, kind in (("pysam", "FastxFile"), ("pyfastx", "Fastx")):
        with contextlib.suppress(ImportError):
            reader = getattr(import_module(name), kind)
            sides[name] = partial(_read, reader, str(path))
    seconds = in_turn(sides, rounds=5)
    rates = {name: nucleotides / 1e6 / value for name, value in seconds.items()}
    return [
        row("fasta.gz to corpus", "Mnt/CPU s", rates["ours"], f"{name} reading alone", rates.get(name), ">= 0.5")
        for name in ("pysam", "pyfastx")
    ]


def _read(reader: Callable[[str], Any], path: str) -> int:
    return sum(1 for _ in reader(path))


def _write(path: Path) -> int:
    """Random records of 200 to 1,200 nt, as long non-coding RNAs are; returns their nucleotides."""
    generator = np.random.default_rng(5)
    lengths = generator.integers(200, 1200, RECORDS)
    letters = generator.choice(np.frombuffer(b"ACGT", np.uint8), int(lengths.sum())).tobytes()
    ends = np.cumsum(lengths).tolist()
    with gzip.open(path, "wb", compresslevel=6) as file:
        for number, (end, length) in enumerate(zip(ends, lengths.tolist(), strict=True)):
            name = b">URS%010X_9606 Homo sapiens (human) long non-coding RNA number %d\n" % (number, number)
            file.write(name + letters[end - length : end] + b"\n")
    return len(letters)
