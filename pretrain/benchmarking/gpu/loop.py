"""The real loop: loader, engine, DeepSpeed. What waits for data, and how often the device is drained."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from data_prep.corpus import SequenceWriter
from pretrain.batches.block import preparing
from pretrain.batches.collate import to_device
from pretrain.batches.loader import load_steps
from pretrain.batches.plan import Bounds, Plan
from pretrain.benchmarking.gpu.bench import Bench
from pretrain.benchmarking.gpu.models import tiny_words
from pretrain.benchmarking.synthetic import draw_lengths, random_letters
from pretrain.config import load_config
from pretrain.distributed.context import init_distributed
from pretrain.training.components import build_components
from pretrain.training.engine import Engine


def run_loop(bench: Bench) -> None:
    """BERT and ERNIE-RNA, at ZeRO stages 1 and 0."""
    init_distributed(60, False)
    with TemporaryDirectory(prefix="benchmark-") as scratch:
        corpus = Path(scratch) / "corpus"
        make_corpus(corpus, 120 if bench.tiny else 8192)
        for recipe, tokens, accumulation in (("rnaernie2.yaml", 32768, 1), ("ernie.yaml", 9216, 4)):
            for stage in (1, 0):
                _train(bench, recipe, corpus, 1024 if bench.tiny else tokens, accumulation, stage)
                bench.free()


def make_corpus(folder: Path, count: int) -> None:
    """Random letters with the lengths of non-coding RNA."""
    from data_prep.corpus.tally import Tally

    lengths = draw_lengths(count)
    ends, letters = lengths.cumsum().tolist(), random_letters(int(lengths.sum()))
    rows = [letters[end - size : end] for end, size in zip(ends, lengths.tolist(), strict=True)]
    with SequenceWriter(folder, stage="benchmark", parameters={"count": count}) as writer:
        writer.append("train", [str(number) for number in range(count)], rows)
        writer.append("validation", ["0"], rows[:1])
        writer.finish(Tally())


def _train(bench: Bench, recipe: str, corpus: Path, tokens: int, accumulation: int, stage: int) -> None:
    words = [f"corpus.path={corpus}", f"engine.zero_stage={stage}", *(tiny_words(recipe) if bench.tiny else ())]
    components = build_components(load_config(recipe, words))
    engine, maker = Engine(components.config, components.model(), accumulation), components.batches("train")
    plan = Plan(maker.lengths_at, Bounds(tokens=tokens), accumulation)
    steps = load_steps(plan, 0, preparing(maker.make, bench.device, 0), 0, 1, 0)
    rounds, seen, waited, micro_batches = (3 if bench.tiny else 14), 0, 0.0, 0
    with drains() as drained:
        for number in range(rounds):
            if number == rounds // 2:  # what came before warmed up
                bench.wait()
                began, seen, waited, micro_batches = time.perf_counter(), 0, 0.0, 0
                drained.clear()
            before = time.perf_counter()
            mine = next(steps)
            waited += time.perf_counter() - before
            for batch in mine.micro_batches:
                assert batch is not None
                packed, targets = to_device(batch, bench.device)
                torch.manual_seed(batch.dropout_seed)
                factors = {name: 1.0 / max(count, 1) for name, count in batch.counts.items()}
                loss, _ = engine.forward(packed, targets, factors)
                engine.backward(loss)
                engine.end_micro_batch(1e-4)
                seen, micro_batches = seen + batch.tokens, micro_batches + 1
        bench.wait()
    spent = time.perf_counter() - began
    steps.close()
    values = {
        "tokens_per_second": seen / spent,
        "micro_batch_ms": spent / micro_batches * 1e3,
        "data_wait": waited / spent,
        "drains_per_micro_batch": drained["device"] / micro_batches,
    }
    name = f"loop {recipe.removesuffix('.yaml')} stage {stage}"
    bench.note(name, values)
    bench.say(
        f"{name}: {values['tokens_per_second']:,.0f} tokens/s, {values['micro_batch_ms']:.1f} ms a micro-batch, waits "
        f"for data {values['data_wait']:.1%}, drains the device {values['drains_per_micro_batch']:.1f} times"
    )


@contextmanager
def drains() -> Iterator[Counter[str]]:
    """Count how often DeepSpeed waits for everything the device has been given."""
    from deepspeed.accelerator import get_accelerator

    kind, found = type(get_accelerator()), Counter[str]()
    usual = kind.synchronize

    def counted(self, *args, **kwargs):
        found["device"] += 1
        return usual(self, *args, **kwargs)

    kind.synchronize = counted
    try:
        yield found
    finally:
        kind.synchronize = usual
