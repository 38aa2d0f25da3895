"""Models of recipes on made-up batches: packed tokens per second, of what the products could do, memory by mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from pretrain.batches.block import sent
from pretrain.benchmarking.gpu.bench import TINY, Bench, Timing
from pretrain.benchmarking.synthetic import draw_lengths
from pretrain.config import Config, load_config
from pretrain.models import LanguageModel, ModelSettings
from pretrain.objectives.model import PretrainingModel
from pretrain.planning.costs import flops_per_token
from pretrain.planning.counted.made_up import made_up_batch, made_up_builder
from pretrain.training.initial_weights import options_of, settings_of

BEST = "gemm 8192"  # of the ceilings: what utilisation is a share of
_NO_DROPOUT = ("model.hidden_dropout_prob=0.0", "model.attention_probs_dropout_prob=0.0")
Case = tuple[str, str, list[int], str, tuple[str, ...]]
_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class Trained:
    """A model with its optimizer and one micro-batch; calling it makes a step."""

    def __init__(self, bench: Bench, recipe: str, lengths: Sequence[int], precision: str, words: Sequence[str]):
        self.config: Config = load_config(recipe, [*(tiny_words(recipe) if bench.tiny else ()), *words])
        family, self.settings, _ = settings_of(self.config)
        builder, objectives, context = made_up_builder(self.config, self.settings, family.build_tokenizer(), lengths)
        torch.manual_seed(0)
        language_model = LanguageModel.build(self.settings, options_of(self.config, self.settings))
        self.model = PretrainingModel(language_model, objectives, context).to(bench.device, _DTYPES[precision]).train()
        self.lengths, self.batch = list(lengths), made_up_batch(builder, len(lengths))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)
        self._device = bench.device
        self._factors = {name: 1.0 / max(count, 1) for name, count in self.batch.counts.items()}

    def __call__(self) -> None:
        """Send the micro-batch, go forwards and backwards, update."""
        batch = sent(self.batch, self._device) if self._device.type == "cuda" else self.batch
        torch.manual_seed(1)
        self.model(batch.packed, batch.targets, self._factors)[0].backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def report(bench: Bench, name: str, settings: ModelSettings, lengths: Sequence[int], timing: Timing) -> None:
    """Say and keep the rate of a step."""
    tokens = sum(lengths)
    rate = tokens / timing.ms * 1e3
    flops = rate * flops_per_token(settings, sum(length * length for length in lengths) / tokens, 0.15)
    share = flops / (bench.results[BEST] * 1e12) if BEST in bench.results else float("nan")
    bench.note(name, {**vars(timing), "tokens_per_second": rate, "share_of_products": share})
    bench.say(
        f"{name:42s} {rate:11,.0f} tokens/s  {timing.ms:8.2f} ms (worst {timing.worst_ms:.2f}, host "
        f"{timing.host_ms:.2f})  {share:5.1%} of {BEST}  {timing.peak_gib:.1f} GiB"
    )


def tiny_words(recipe: str) -> tuple[str, ...]:
    """Small sizes, as far as the model of a recipe has them."""
    return TINY if "hyena" not in recipe else TINY[:2]


def ragged(tokens: int) -> list[int]:
    """Lengths of non-coding RNA, together at most so many tokens."""
    found: list[int] = []
    for length in draw_lengths(100_000).tolist():
        if sum(found) + length + 2 > tokens:
            break
        found.append(length + 2)
    return found


def run_models(bench: Bench) -> None:
    """Every kind of model, as far as memory goes."""
    for name, recipe, lengths, precision, words in _cases(bench):
        _measure(bench, name, partial(Trained, bench, recipe, lengths, precision, words))
        bench.free()


def _measure(bench: Bench, name: str, make: Callable[[], Trained]) -> None:
    try:
        trained = make()
        report(bench, name, trained.settings, trained.lengths, bench.time(trained, rounds=8))
    except torch.OutOfMemoryError:
        bench.note(name, "out of memory")
        bench.say(f"{name}: out of memory")


def _cases(bench: Bench) -> list[Case]:
    """Name, recipe, lengths, precision, settings."""
    full, long, small = (bench.sizes([n] * b, [24] * 2) for n, b in ((512, 64), (1024, 32), (512, 10)))
    budget = 200 if bench.tiny else 32768
    cases: list[Case] = [
        ("BERT 64 x 512", "rnaernie2.yaml", full, "bf16", ()),
        ("BERT 64 x 512 without dropout", "rnaernie2.yaml", full, "bf16", _NO_DROPOUT),
        ("BERT ragged", "rnaernie2.yaml", ragged(budget), "bf16", ()),
        ("BERT 10 x 512 (DNABERT's)", "dnabert_3mer.yaml", small, "bf16", ()),
    ]
    for memory, dtype in (("rebuild", ""), ("store", ""), ("store", "float16"), ("none", "")):
        some = long if memory != "none" else long[:4]
        words = (f"model.pairing_memory={memory}", *([f"model.pairing_scores_dtype={dtype}"] if dtype else []))
        name = f"ERNIE-RNA {len(some)} x {some[0]} {memory} {dtype}".rstrip()
        cases.append((name, "ernie.yaml", some, "bf16", words))
    for tokens in bench.sizes([4096, 65536], [200]):
        for precision in ("fp32", "bf16"):
            cases.append((f"UTR-LM {tokens} tokens {precision}", "utr_lm.yaml", ragged(tokens), precision, ()))
    cases += [
        ("MutBERT 128 x 512", "mutbert.yaml", bench.sizes([512] * 128, [24] * 2), "bf16", ()),
        ("HyenaDNA 64 x 1024", "hyenadna_tiny_1k.yaml", bench.sizes([1024] * 64, [24] * 2), "bf16", ()),
    ]
    if not bench.tiny:  # sizes of its MLP do not scale with the others
        cases.append(("NT v2 50M 32 x 1024", "nt_v2_50m.yaml", [1024] * 32, "bf16", ()))
    return cases
