"""The ``masking:`` section of a run's YAML: one class per strategy, told apart by ``strategy``."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

CountRule = Literal["floor_plus_uniform", "round", "ceil", "floor"]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class MaskingSection(BaseModel):
    """Strict: an unknown key is an error, and a string is not silently taken for a number."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_default=True, frozen=True)


class ReplacementSettings(MaskingSection):
    """Keys all strategies share: how much is selected, and what becomes of it."""

    rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.15  # share of the nucleotides (k-mers) that is selected
    # Of the selected: replaced by the mask token, by a random token, left as they are. Independent per token.
    mask_fraction: Fraction = 0.8
    random_fraction: Fraction = 0.1
    keep_fraction: Fraction = 0.1
    # What random tokens are drawn from. "nucleotides": A C G U (all k-mers); "vocabulary_from:N": every id from N on.
    # Upstream releases: ERNIE-RNA vocabulary_from:4, DNABERT and RNAErnie2 vocabulary_from:0 (special tokens included).
    random_ids: Annotated[str, Field(pattern=r"^(nucleotides|vocabulary_from:\d+)$")] = "nucleotides"

    @model_validator(mode="after")
    def _fractions_are_whole(self) -> ReplacementSettings:
        total = self.mask_fraction + self.random_fraction + self.keep_fraction
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"mask_fraction + random_fraction + keep_fraction must be 1, not {total:g}")
        return self


class BaseMaskingSettings(ReplacementSettings):
    """Single tokens, uniformly (BERT)."""

    strategy: Literal["base"] = "base"
    # How many of T tokens. floor_plus_uniform: floor(rate T + u) (ERNIE-RNA); ceil: UTR-LM; round: halves to even, at
    # least 1 (RNAErnie); floor; bernoulli: each token on its own (RNAErnie2).
    count: CountRule | Literal["bernoulli"] = "floor_plus_uniform"
    specials_selectable: bool = False  # upstream ERNIE-RNA: true (<cls> and <eos> count, are masked, and are targets)


MaskingSettings = BaseMaskingSettings
