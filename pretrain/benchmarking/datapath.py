"""From a place in the stream to a packed batch, on one core: order, reading, tokens, masking, labels, packing.

Rates count CPU seconds, because machines are shared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from data_prep.benchmarks.rows import row
from data_prep.corpus import Corpus, Ragged, open_corpus
from data_prep.corpus.ragged import offsets_of
from pretrain.batches.collate import MicroBatchBuilder
from pretrain.batches.plan import Bounds, Plan
from pretrain.benchmarking.synthetic import draw_lengths, random_letters
from pretrain.config import Config, load_config
from pretrain.config.corpus import Corpus as CorpusSettings
from pretrain.data.sources import SequenceSource
from pretrain.data.stream import SampleStream
from pretrain.exporting.hf_tokenizers import write_tokenizer
from pretrain.masking import build_strategy
from pretrain.masking.settings import BaseSettings, MotifDatabase, MotifSettings, SpanSettings
from pretrain.tokenizers import Measured, Tokenizer, build_tokenizer
from pretrain.training.components import build_components

TOKENS, BATCHES, STRETCHES, WARMUP, PEER_BATCHES = 9216, 40, 7, 3, 5
MANY_SEQUENCES = 30_000_000
WANTED = {"base": ">= 5 M", "kmer": ">= 5 M", "span": ">= 3 M", "motif": ">= 3 M"}


def data_path_rows(folder: Path, motifs: list[str], scratch: Path) -> list[dict[str, Any]]:
    """Measure every strategy that fits the corpus, beside transformers' tokenizer and collator.

    Then the first batch of a large corpus. One row per figure: stage, unit, ours, peer_name, peer, ratio, wanted,
    skipped.
    """
    corpus = open_corpus(folder)
    rows = []
    if corpus.kind == "sequences":
        peer = _collator_rate(corpus, scratch)
        name = "transformers fast tokenizer + DataCollatorForLanguageModeling"
        for strategy, config in _configs(folder, motifs):
            ours = _rate(config)
            rows.append(row(f"batches, {strategy}", "M tokens/CPU s", ours / 1e6, name, peer / 1e6, WANTED[strategy]))
        return rows + _many_sequence_rows()
    config = _with(load_config("mutbert.yaml"), folder)
    return [row("batches, windows", "M tokens/CPU s", _rate(config) / 1e6, "", None, "no wait for data")]


def _configs(folder: Path, motifs: list[str]) -> Iterator[tuple[str, Config]]:
    yield "base", _with(load_config("ernie.yaml"), folder)
    yield "kmer", _with(load_config("utrbert_3mer.yaml"), folder)
    plain = load_config("rnaernie.yaml", ["corpus.label_slot=false"])
    yield "span", _with(plain, folder, SpanSettings())
    if motifs:
        yield "motif", _with(plain, folder, MotifSettings(databases=[MotifDatabase(files=motifs)]))


def _with(config: Config, folder: Path, masking: Any = None) -> Config:
    """The config on another corpus (and with other masking)."""
    changes = {"corpus": config.corpus.model_copy(update={"path": str(folder)})}
    return config.model_copy(update=changes if masking is None else {**changes, "masking": masking})


def _rate(config: Config) -> float:
    """Tokens per CPU second, the median of some stretches of the stream."""
    builder = build_components(config).batches("train")
    bounds = Bounds(sequences=128) if config.masking.strategy == "variant_first" else Bounds(tokens=TOKENS)
    steps = Plan(builder.lengths_at, bounds, 1).steps(0)
    rates = []
    for batches in (WARMUP, *[BATCHES] * STRETCHES):
        start = time.process_time()
        tokens = sum(builder.make(*span).tokens for (span,) in islice(steps, batches))
        rates.append(tokens / (time.process_time() - start))
    return statistics.median(rates[1:])


def _collator_rate(corpus: Corpus, scratch: Path) -> float:
    """Real tokens per CPU second of the usual way: random rows of a data set, fast tokenizer, padding collator."""
    from datasets import load_from_disk
    from transformers import AutoTokenizer, DataCollatorForLanguageModeling

    write_tokenizer(build_tokenizer("ernie_rna"), scratch, max_length=1024)
    tokenizer = AutoTokenizer.from_pretrained(scratch)
    collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    data = load_from_disk(str(corpus.folder))["train"]
    size = max(1, TOKENS // (int(np.mean(data[:1000]["length"])) + 2))
    order = np.random.default_rng(0).permutation(len(data))

    def batch(number: int) -> int:
        indices = np.take(order, range(number * size, (number + 1) * size), mode="wrap")
        ids = tokenizer(data[indices]["sequence"], truncation=True)["input_ids"]
        collate([{"input_ids": row} for row in ids])
        return sum(map(len, ids))

    batch(0)
    start = time.process_time()
    tokens = sum(batch(number) for number in range(PEER_BATCHES))
    return tokens / (time.process_time() - start)


class MadeUpTable:
    """A table of any number of sequences, without a file: lengths are drawn, letters come from one short text."""

    def __init__(self, count: int):
        self.lengths = draw_lengths(count)
        self._letters = np.frombuffer(random_letters(1 << 16), np.uint8)

    def has(self, column: str) -> bool:
        """Return False: there are no further columns."""
        return False

    def gather(self, rows: np.ndarray) -> Ragged:
        """Return the sequences of rows int64 (S,)."""
        offsets = offsets_of(self.lengths[rows])
        return Ragged(np.take(self._letters, np.arange(offsets[-1]), mode="wrap"), offsets)


def _many_sequence_rows() -> list[dict[str, Any]]:
    """Opening a corpus of 30 M sequences up to its first batch, and moving to another place in it."""
    import torch

    table, tokenizer = MadeUpTable(MANY_SEQUENCES), build_tokenizer("ernie_rna")

    def open_and_make() -> MicroBatchBuilder:
        builder = _builder(table, tokenizer)
        _batch_at(builder, 0)
        return builder

    builder = _builder(table, tokenizer)
    places = iter(range(10**6, 10**9, 10**8))
    count = f"{MANY_SEQUENCES // 10**6} M sequences"
    shuffle = _seconds(lambda: torch.randperm(MANY_SEQUENCES).tolist(), rounds=1)
    peer = "torch RandomSampler: randperm(n).tolist()"
    return [
        row(f"first batch, {count}", "CPU s", _seconds(open_and_make), peer, shuffle, "< 2 s"),
        row(f"seek, {count}", "CPU s", _seconds(lambda: _batch_at(builder, next(places))), peer, shuffle, "< 0.1 s"),
        _measured_row(table, count, peer, shuffle),
    ]


def _measured_row(table: MadeUpTable, count: str, peer: str, shuffle: float) -> dict[str, Any]:
    """Seeking in a corpus whose tokens per sequence were counted beforehand."""
    tokenizer = build_tokenizer("kmer6_nonoverlapping")
    rule = cast(Measured, tokenizer.lengths)
    builder = _builder(table, tokenizer, rule.fewest(table.lengths).astype(np.uint16))  # exact: no N among the letters
    places = iter(range(10**6, 10**9, 10**8))
    seconds = _seconds(lambda: _batch_at(builder, next(places)))
    return row(f"seek, {count}, measured lengths", "CPU s", seconds, peer, shuffle, "< 0.1 s")


def _builder(table: MadeUpTable, tokenizer: Tokenizer, counts: np.ndarray | None = None) -> MicroBatchBuilder:
    source = SequenceSource(table, tokenizer, CorpusSettings(), 1024, counts)  # type: ignore[arg-type]
    masking = build_strategy(BaseSettings(), tokenizer)
    return MicroBatchBuilder([source], SampleStream([source.size], [1.0], 0), tokenizer, masking, {}, {}, 0)


def _batch_at(builder: MicroBatchBuilder, position: int) -> None:
    ((span,),) = islice(Plan(builder.lengths_at, Bounds(tokens=TOKENS), 1).steps(position), 1)
    builder.make(*span)


def _seconds(action: Callable[[], object], rounds: int = 3) -> float:
    """CPU seconds, the median."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        action()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)
