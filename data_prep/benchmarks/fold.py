"""Folding a corpus with two processes, beside bare loops over RNA.fold in as many processes."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.benchmarks.rows import in_turn, row
from data_prep.folding.cache import FoldCache
from data_prep.folding.shards import fold_distinct
from data_prep.folding.vienna import fold_chunk, parameters
from data_prep.runtime.executor import Workers

ROWS, PROCESSES = 60, 2


def fold_rows(scratch: Path) -> list[dict[str, Any]]:
    """Sequences of 100 to 300 nt per second on the clock; the bare loops get equal halves of the same sequences."""
    generator = np.random.default_rng(2)
    letters = np.frombuffer(b"ACGU", np.uint8)
    sequences = [generator.choice(letters, length).tobytes() for length in generator.integers(100, 300, ROWS)]
    halves = [sequences[part::PROCESSES] for part in range(PROCESSES)]
    with Workers(f"local:{PROCESSES}") as workers:

        def ours() -> None:
            with FoldCache(None, parameters()) as cache:
                fold_distinct(sequences, workers, cache, lambda _: None)

        def bare() -> None:
            for _ in workers.map_chunks(fold_chunk, halves):
                pass

        seconds = in_turn({"ours": ours, "bare": bare}, 3, time.perf_counter)
    return [
        row(
            "fold, 2 processes",
            "sequences/s",
            ROWS / seconds["ours"],
            "bare RNA.fold x 2",
            ROWS / seconds["bare"],
            ">= 0.95",
        )
    ]
