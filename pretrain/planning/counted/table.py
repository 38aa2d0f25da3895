"""Counted steps of every family in one table, beside those of an earlier state of the code.

Every recipe steps on made-up sequences of its longest length, as many as its micro-batch holds. Rates are estimates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pretrain.config import Config, load_config
from pretrain.planning.counted.cards import CARDS
from pretrain.planning.counted.deepspeed_cost import deepspeed_launches, host_reads
from pretrain.planning.counted.estimate import estimate
from pretrain.planning.counted.ledger import KINDS
from pretrain.planning.counted.report import count_config, needed_bytes
from pretrain.training.fit import longest_input
from pretrain.training.initial_weights import settings_of

COLUMNS = ("H100", "H200")
_RAGGED = tuple(range(32, 192, 4))  # tokens of 40 short sequences


@dataclass(frozen=True)
class Case:
    """A recipe, what differs from it, and the tokens of its sequences (None: as many of the longest as it takes)."""

    recipe: str
    settings: tuple[str, ...] = ()
    lengths: tuple[int, ...] | None = None


_STORED = "model.pairing_memory=store"
_BASE_MASKS = "masking={strategy: base}"  # the lists of the recipe are a download; kernels are the same
CASES: dict[str, Case] = {
    "ERNIE-RNA": Case("ernie.yaml"),
    "ERNIE-RNA, 32 x 1,024": Case("ernie.yaml", ("batch.sequences=32",)),
    "ERNIE-RNA, 32 x 1,024, scores stored": Case("ernie.yaml", ("batch.sequences=32", _STORED)),
    "ERNIE-RNA, 32 x 1,024, scores stored in float16": Case(
        "ernie.yaml", ("batch.sequences=32", _STORED, "model.pairing_scores_dtype=float16")
    ),
    "RNAErnie": Case("rnaernie.yaml", (_BASE_MASKS,)),
    "RNAErnie2": Case("rnaernie2.yaml"),
    "BERT, 64 x 512": Case("rnaernie2.yaml", ("batch.sequences=64", "corpus.max_tokens=512")),
    "BERT, 128 x 512": Case("rnaernie2.yaml", ("batch.sequences=128", "corpus.max_tokens=512")),
    "BERT, 64 x 512, no dropout": Case(
        "rnaernie2.yaml",
        (
            "batch.sequences=64", "corpus.max_tokens=512", "model.hidden_dropout_prob=0",
            "model.attention_probs_dropout_prob=0",
        ),
    ),
    "3UTRBERT": Case("utrbert_3mer.yaml"),
    "UTR-LM": Case("utr_lm.yaml"),
    "UTR-LM, ragged": Case("utr_lm.yaml", lengths=_RAGGED),
    "UTR-LM, ragged, one shape": Case("utr_lm.yaml", ("batch.static=true", "batch.tokens=4608"), _RAGGED),
    "RiNALMo micro": Case("rinalmo_micro.yaml"),
    "RiNALMo giga": Case("rinalmo_giga.yaml"),
    "HELM, masked": Case("helm_mlm.yaml"),
    "HELM, causal": Case("helm_clm.yaml"),
    "DNABERT": Case("dnabert_6mer.yaml"),
    "DNABERT-2": Case("dnabert2.yaml"),
    "MutBERT": Case("mutbert.yaml"),
    "MethylBERT": Case("methylbert.yaml"),
    "NT v1 500M": Case("nt_v1_500m.yaml"),
    "NT v1 2.5B": Case("nt_v1_2b5.yaml"),
    "NT v2 50M": Case("nt_v2_50m.yaml"),
    "NT v2 500M": Case("nt_v2_500m.yaml"),
    "GPN": Case("gpn_brassicales.yaml"),
    "GPN, convolutions": Case("gpn_convnet.yaml"),
    "GPN, promoters": Case("gpn_promoter.yaml"),
    "HyenaDNA tiny": Case("hyenadna_tiny_1k.yaml"),
    "HyenaDNA small": Case("hyenadna_small_32k.yaml"),
    "HyenaDNA large": Case("hyenadna_large_1m.yaml"),
    "Evo 1, 8k": Case("evo1_8k.yaml"),
    "Evo 1, 131k": Case("evo1_131k.yaml"),
}  # fmt: skip


@dataclass(frozen=True)
class CountedRow:
    """A counted step.

    Attributes:
        sequences: of a micro-batch.
        tokens: of a micro-batch.
        forward, backward: kernels of the model.
        beside: kernels of DeepSpeed after a micro-batch.
        moved_gb: 10^9 bytes read and written by a micro-batch.
        waits: how often the host waits for the device in a step of one micro-batch.
        needs_gb: about, on one GPU.
        tokens_s: estimated, by card.
    """

    sequences: int
    tokens: int
    forward: int
    backward: int
    beside: int
    moved_gb: float
    waits: int
    needs_gb: float
    tokens_s: dict[str, float]


def count_row(name: str, folder: Path) -> CountedRow:
    """Count a case.

    Args:
        name: in :data:`CASES`.
        folder: for files that a config names and a step does not read.
    """
    case = CASES[name]
    config = load_config(case.recipe, [*case.settings, *_files(case.recipe, folder)])
    family, settings, _ = settings_of(config)
    longest = longest_input(config, family, settings)
    lengths = list(case.lengths or [longest] * _count(config, longest))
    step = count_config(config, family, settings, lengths)
    rates = {card: estimate(step, config, CARDS[card], config.batch.accumulation).tokens_s for card in COLUMNS}
    return CountedRow(
        sequences=len(lengths),
        tokens=step.tokens,
        forward=step.kernels("forward"),
        backward=step.kernels("backward"),
        beside=round(deepspeed_launches(config.engine, step.parameter_tensors)[0]),
        moved_gb=round(sum(step.bytes_of(kind) for kind in KINDS) / 1e9, 2),
        waits=len(step.ledger.host_reads) + host_reads(config.engine),
        needs_gb=round(needed_bytes(step, config, settings, 1) / 1e9, 1),
        tokens_s={card: _three_digits(rate) for card, rate in rates.items()},
    )


def record(row: CountedRow) -> dict[str, Any]:
    """A row for JSON."""
    return asdict(row)


def from_record(values: dict[str, Any]) -> CountedRow:
    """A row from JSON."""
    return CountedRow(**values)


def markdown(rows: dict[str, CountedRow], before: dict[str, CountedRow]) -> list[str]:
    """Lines of a table; cells of both states are ``before -> now``."""
    title = ["recipe, micro-batch", "kernels: forward + backward + DeepSpeed", "GB moved", "waits", "needs GB"]
    title += [f"tokens/s, {card}, estimated" for card in COLUMNS]
    lines = [f"| {' | '.join(title)} |", f"|{' --- |' * len(title)}"]
    return lines + [markdown_row(name, row, before.get(name)) for name, row in rows.items()]


def markdown_row(name: str, now: CountedRow, before: CountedRow | None) -> str:
    """One line of the table."""
    cells: list[Callable[[CountedRow], str]] = [
        lambda row: f"{row.forward:,} + {row.backward:,} + {row.beside:,}",
        lambda row: f"{row.moved_gb:,.1f}",
        lambda row: str(row.waits),
        lambda row: f"{row.needs_gb:,.0f}",
        *(lambda row, card=card: f"{row.tokens_s[card]:,.0f}" for card in COLUMNS),  # type: ignore[misc]
    ]
    sequences = "one sequence" if now.sequences == 1 else f"{now.sequences} sequences"
    shown = [f"{name}: {sequences}, {now.tokens:,} tokens"]
    for cell in cells:
        new, old = cell(now), cell(before) if before else None
        shown.append(new if old in (None, new) else f"{old} -> {new}")
    return f"| {' | '.join(shown)} |"


def _count(config: Config, longest: int) -> int:
    return config.batch.sequences or max(1, (config.batch.tokens or longest) // longest)


def _three_digits(rate: float) -> float:
    return float(f"{rate:.3g}")


def _files(recipe: str, folder: Path) -> Sequence[str]:
    """Settings that name made-up files in place of those that a recipe's user downloads or trains."""
    if recipe != "dnabert2.yaml":
        return ()
    path = folder / "byte_pairs.json"
    path.write_text(_byte_pairs(4096), encoding="utf-8")
    return (f"model.tokenizer_file={path}",)


def _byte_pairs(size: int) -> str:
    """A tokenizer file of so many tokens that merges nothing."""
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.processors import TemplateProcessing

    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *"ACGT", *map("".join, product("ACGT", repeat=6))]
    vocabulary = {word: number for number, word in enumerate(words[:size])}
    made = Tokenizer(BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    made.post_processor = TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return made.to_str()
