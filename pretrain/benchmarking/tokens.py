"""Tokenizing: every kind of tokenizer on one core, beside numpy's look-up of bytes in a table."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.benchmarks.rows import row
from data_prep.corpus import Ragged
from pretrain.tokenizers import build_tokenizer

SEQUENCES, LENGTH_NT, ROUNDS = 200, 1000, 15
FAST, WANTED_FAST = ("ernie_rna", "rnaernie", "mutbert", "utrbert_3mer", "utrbert_6mer"), ">= 600 MB/s"
OTHERS, WANTED = ("gpn", "hyenadna", "bytes", "methylbert", "codon", "kmer6_nonoverlapping"), ">= 200 MB/s"
BPE_TOKENS = 1024


def tokenization_rows(scratch: Path) -> list[dict[str, Any]]:
    """Measure MB of sequence per CPU second to a whole TokenBatch (ids, offsets, maskable).

    A BPE file is written to ``scratch``.
    """
    letters = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(0).integers(0, 4, SEQUENCES * LENGTH_NT)]
    batch = Ragged(letters, np.arange(SEQUENCES + 1) * LENGTH_NT)
    table = np.arange(256, dtype=np.int32)
    rows = []
    for names, wanted in ((FAST, WANTED_FAST), (OTHERS, WANTED)):
        for name in names:
            tokenizer = build_tokenizer(name)
            ours = _rate(partial(tokenizer.encode, batch))
            peer = _rate(lambda: table[letters])
            rows.append(row(f"tokens {name}", "MB/CPU s", ours, "numpy table look-up", peer, wanted))
    return [*rows, _byte_pair_row(batch, scratch)]


def _byte_pair_row(batch: Ragged, scratch: Path) -> dict[str, Any]:
    """The same for byte pairs, beside the library that merges them, which stops at its own objects."""
    from tokenizers import Tokenizer as FastTokenizer
    from tokenizers import models, pre_tokenizers, processors, trainers

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # both on one core
    texts = [row.decode() for row in batch.rows()]
    fast = FastTokenizer(models.BPE(unk_token="[UNK]"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]  # a setter takes any of them
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    fast.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=BPE_TOKENS, special_tokens=special))
    ends = [(token, special.index(token)) for token in ("[CLS]", "[SEP]")]
    template = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A $B [SEP]", special_tokens=ends)
    fast.post_processor = template  # type: ignore[assignment]
    scratch.mkdir(parents=True, exist_ok=True)
    fast.save(str(scratch / "tokenizer.json"))
    ours = _rate(partial(build_tokenizer("bpe", file=str(scratch / "tokenizer.json")).encode, batch))
    peer = _rate(lambda: fast.encode_batch(texts))
    return row("tokens bpe", "MB/CPU s", ours, "tokenizers, encode_batch", peer, ">= 1")


def _rate(encode: Callable[[], object]) -> float:
    """MB per CPU second, the median of some rounds after one that does not count."""
    seconds = []
    for _ in range(ROUNDS + 1):
        start = time.process_time()
        encode()
        seconds.append(time.process_time() - start)
    return SEQUENCES * LENGTH_NT / 1e6 / statistics.median(seconds[1:])
