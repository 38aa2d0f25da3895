"""Tokens of each sequence of a corpus if only tokenizing can tell: counted once, then memory-mapped.

The numbers lie in the corpus folder, ``token_lengths/DIGEST/SPLIT.npy``; DIGEST is of the vocabulary and of the
corpus. So a place in the stream is found as fast as with a formula: one number is read per sample.
"""

from __future__ import annotations

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from tqdm import tqdm

from data_prep.corpus import Corpus, Ragged, SequenceTable
from pretrain.data.counted_once import counted_once
from pretrain.errors import PolymeraseError
from pretrain.tokenizers import Measured
from pretrain.tokenizers.batch import CountsTokens

FOLDER = "token_lengths"
_LETTERS = 1 << 21  # tokenized at a time


def token_lengths(corpus: Corpus, split: str, table: SequenceTable, tokenizer: CountsTokens) -> np.ndarray:
    """Return the tokens, specials included, of every row of a split: uint16 or uint32 (rows,), memory-mapped.

    They are counted now if no run has done so before; ranks of one machine wait for the first of them.

    Raises:
        PolymeraseError: the numbers can neither be read nor written.
    """
    assert isinstance(tokenizer.lengths, Measured)
    digest = hashlib.sha256(f"{corpus.fingerprint} {tokenizer.lengths.digest}".encode()).hexdigest()[:16]
    path = corpus.folder / FOLDER / digest / f"{split}.npy"
    try:
        description = f"tokens of {corpus.folder.name} {split}"
        counts = counted_once(path, lambda: _narrow(count_tokens(table, tokenizer, description)))
    except OSError as error:
        raise PolymeraseError(
            f"{path}: token counts of this vocabulary cannot be written ({error.strerror}); "
            "make the corpus folder writable, or copy the corpus"
        ) from None
    except ValueError:
        counts = np.zeros(0, np.uint16)
    if counts.shape != (len(table),) or counts.dtype not in (np.uint16, np.uint32):
        raise PolymeraseError(f"{path}: expected the token counts of {len(table):,} rows, got another file; remove it")
    return counts


def count_tokens(table: SequenceTable, tokenizer: CountsTokens, description: str | None = None) -> np.ndarray:
    """Count the tokens of every row, int64 (rows,), on all cores; with a progress bar on terminals."""
    counts = np.zeros(len(table), np.int64)
    cuts = _cuts(np.asarray(table.lengths))
    bar = tqdm(total=len(table), desc=description, unit="seq", unit_scale=True, disable=not sys.stderr.isatty())

    def count(start: int, stop: int) -> None:
        rows: Ragged = table.gather(np.arange(start, stop))
        counts[start:stop] = tokenizer.count(rows)
        bar.update(stop - start)

    with bar, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for done in [pool.submit(count, start, stop) for start, stop in pairwise(cuts)]:
            done.result()
    return counts


def _cuts(lengths: np.ndarray) -> list[int]:
    """Rows at which stretches of about ``_LETTERS`` letters begin, and the end."""
    if not len(lengths):
        return [0, 0]
    letters = np.cumsum(lengths, dtype=np.int64)
    bounds = np.searchsorted(letters, np.arange(0, letters[-1], _LETTERS), side="right")
    return np.unique(np.concatenate(([0], bounds, [len(lengths)]))).tolist()


def _narrow(counts: np.ndarray) -> np.ndarray:
    return counts.astype(np.uint16 if counts.max(initial=0) < 1 << 16 else np.uint32)
