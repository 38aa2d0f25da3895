"""Text to ids: every kind of tokenizer on one core, beside numpy looking bytes up in a table and no more."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.corpus import Ragged
from pretrain.benchmarking.figure import figure
from pretrain.tokenizers import build_tokenizer

SEQUENCES, LENGTH_NT, ROUNDS = 200, 1000, 15


def tokenisation_rows(scratch: Path) -> list[dict[str, Any]]:
    """MB of sequence per CPU second to a whole TokenBatch (ids, offsets, maskable); ``scratch`` is not needed."""
    letters = np.frombuffer(b"ACGU", np.uint8)[np.random.default_rng(0).integers(0, 4, SEQUENCES * LENGTH_NT)]
    batch = Ragged(letters, np.arange(SEQUENCES + 1) * LENGTH_NT)
    table = np.arange(256, dtype=np.int32)
    rows = []
    for name in ("ernie_rna", "rnaernie", "mutbert", "utrbert_3mer", "utrbert_6mer"):
        tokenizer = build_tokenizer(name)
        ours = _rate(partial(tokenizer.encode, batch))
        peer = _rate(lambda: table[letters])
        rows.append(figure(f"tokens {name}", "MB/CPU s", ours, "numpy table look-up", peer, ">= 600 MB/s"))
    return rows


def _rate(encode: Callable[[], object]) -> float:
    """MB per CPU second, the median of some rounds after one that does not count."""
    seconds = []
    for _ in range(ROUNDS + 1):
        start = time.process_time()
        encode()
        seconds.append(time.process_time() - start)
    return SEQUENCES * LENGTH_NT / 1e6 / statistics.median(seconds[1:])
