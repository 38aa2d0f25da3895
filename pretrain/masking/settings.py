"""The ``masking:`` section of a run's YAML: one class per strategy, told apart by ``strategy``."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

CountRule = Literal["floor_plus_uniform", "round", "ceil", "floor"]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class MaskingSection(BaseModel):
    """Strict: an unknown key is an error, and a string is not silently taken for a number."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_default=True, frozen=True, allow_inf_nan=False)


class LabelSettings(MaskingSection):
    """Key of layouts with an RNA type behind the sequence (RNAErnie)."""

    label_rate: Fraction = 0.0  # share of the samples whose type is hidden and is a target; upstream RNAErnie: 0


class ReplacementSettings(LabelSettings):
    """Keys that all strategies share: the share of selected tokens, and their replacement."""

    rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.15  # share of the nucleotides (k-mers) that is selected
    # Of the selected: replaced by the mask token, by a random token, left as they are. Independent per token.
    mask_fraction: Fraction = 0.8
    random_fraction: Fraction = 0.1
    keep_fraction: Fraction = 0.1
    # What random tokens are drawn from. "nucleotides": A C G U (all k-mers); "vocabulary_from:N": every id from N on.
    # Upstream releases: ERNIE-RNA vocabulary_from:4, DNABERT and RNAErnie2 vocabulary_from:0 (special tokens included).
    random_ids: Annotated[str, Field(pattern=r"^(nucleotides|vocabulary_from:\d+)$")] = "nucleotides"
    random_differs: bool = False  # a random token is never the one that stands there (Nucleotide Transformer: true)

    @model_validator(mode="after")
    def _fractions_are_whole(self) -> ReplacementSettings:
        total = self.mask_fraction + self.random_fraction + self.keep_fraction
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"mask_fraction + random_fraction + keep_fraction must be 1, not {total:g}")
        return self


class BaseSettings(ReplacementSettings):
    """Single tokens, uniformly (BERT)."""

    strategy: Literal["base"] = "base"
    # How many of T tokens. floor_plus_uniform: floor(rate T + u) (ERNIE-RNA); ceil: UTR-LM; round: halves to even, at
    # least 1 (RNAErnie); floor; bernoulli: each token on its own (RNAErnie2).
    count: CountRule | Literal["bernoulli"] = "floor_plus_uniform"
    # k-mers that overlap: hide single ones although their neighbors show the same letters (the answer stands beside
    # the question, and the loss falls to almost nothing). Meant is masking.strategy=kmer.
    neighbors_may_show_hidden: bool = False
    specials_selectable: bool = False  # upstream ERNIE-RNA: true (<cls> and <eos> count, are masked, and are targets)


class BudgetSettings(ReplacementSettings):
    """Keys of strategies that spend a budget of tokens on units longer than one."""

    count: CountRule = "round"  # the budget; see base
    # What happens to budget that no unit fits into: single tokens are added, or it is left. Upstream RNAErnie: none.
    shortfall: Literal["fill", "none"] = "fill"


class SpanSettings(BudgetSettings):
    """Spans of neighboring tokens; the shortest length has weight 1, the next 1/2, then 1/3, ... (RNAErnie)."""

    strategy: Literal["span"] = "span"
    min_length: Annotated[int, Field(gt=0)] = 5
    max_length: Annotated[int, Field(gt=0)] = 8
    # Upstream RNAErnie: true. Spans start and end before the last 9 tokens, and those near that border are cut short.
    upstream_cut: bool = False

    @model_validator(mode="after")
    def _lengths_are_ordered(self) -> SpanSettings:
        if self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} is larger than max_length {self.max_length}")
        return self


class MotifDatabase(MaskingSection):
    """Motif lists that count as one: plain text, one motif per line."""

    files: Annotated[list[str], Field(min_length=1)]
    weight: Annotated[float, Field(gt=0.0)] = (
        1.0  # chance that the next motif comes from here, whatever the list's size
    )


class MotifSettings(BudgetSettings):
    """Whole motifs found in the sequence (RNAErnie)."""

    strategy: Literal["motif"] = "motif"
    databases: Annotated[list[MotifDatabase], Field(min_length=1, max_length=8)]
    # weighted: the databases mix by their weights; in_turn: one after the other, in the order given. Upstream RNAErnie:
    # in_turn, whereby its second list is never reached.
    order: Literal["weighted", "in_turn"] = "weighted"
    # normalized: U and T are one letter, IUPAC codes stand for each of their letters. literal: letters that the
    # tokenizer does not have are unknown tokens (upstream RNAErnie: 4 of 5 motifs then match nothing).
    alphabet: Literal["normalised", "literal"] = "normalised"
    min_length: Annotated[int, Field(gt=0)] = 4  # 4-mers cover 96 % of any RNA, 6-mers 70 %, 8-mers 6 %


class KmerSettings(ReplacementSettings):
    """All k-mers that contain a hidden nucleotide: centers with probability rate / k (DNABERT, 3UTRBERT).

    The true share of masked k-mers is 1 - (1 - rate / k)^k, 14.1 % for a rate of 0.15.
    """

    strategy: Literal["kmer"] = "kmer"
    k: Annotated[int, Field(gt=0)] | None = None  # default: the tokenizer's
    # The end token is put over the last known k-mer of each sequence, which stays a target where it was selected
    # (MethylBERT: true). For tokenizers that close sequences with nothing.
    eos_over_last: bool = False


class VariantFirstSettings(ReplacementSettings):
    """Sites with several alleles before all others, then sites with one (MutBERT)."""

    strategy: Literal["variant_first"] = "variant_first"
    count: CountRule = "floor"
    random_fraction: Fraction = 0.0  # MutBERT before March 2025: 0.1, and keep_fraction 0.1
    keep_fraction: Fraction = 0.2


class NoneSettings(LabelSettings):
    """No masking: for objectives that read every token, such as the next one."""

    strategy: Literal["none"] = "none"


class PartSettings(MaskingSection):
    """Keys of a mixture's parts that whole strategies do not have."""

    weight: Annotated[float, Field(gt=0.0)] = 1.0  # share of the samples, relative to the other parts
    label_rate: Annotated[float, Field(ge=0.0, le=0.0)] = 0.0  # to be set for the whole mixture


class BasePart(PartSettings, BaseSettings):
    """Part of a mixture."""


class SpanPart(PartSettings, SpanSettings):
    """Part of a mixture."""


class MotifPart(PartSettings, MotifSettings):
    """Part of a mixture."""


class KmerPart(PartSettings, KmerSettings):
    """Part of a mixture."""


class VariantFirstPart(PartSettings, VariantFirstSettings):
    """Part of a mixture."""


Part = Annotated[BasePart | SpanPart | MotifPart | KmerPart | VariantFirstPart, Field(discriminator="strategy")]


class MixtureSettings(LabelSettings):
    """One strategy per sample, drawn by weight (RNAErnie: base, span and motif, equally)."""

    strategy: Literal["mixture"] = "mixture"
    parts: Annotated[list[Part], Field(min_length=1)]


MaskingSettings = Annotated[
    BaseSettings | SpanSettings | MotifSettings | KmerSettings | VariantFirstSettings | NoneSettings | MixtureSettings,
    Field(discriminator="strategy"),
]


def strategy_names(settings: MaskingSettings) -> tuple[str, ...]:
    """Names of what the numbers in ``Masked.strategy`` stand for."""
    if isinstance(settings, MixtureSettings):
        return tuple(part.strategy for part in settings.parts)
    return (settings.strategy,)
