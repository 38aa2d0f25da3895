"""``batch.static``: the one shape of all micro-batches of a run, and where there can be none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from data_prep.corpus import Corpus
from pretrain.batches.collate import MicroBatchBuilder
from pretrain.batches.padded import PaddedTo
from pretrain.config import Config
from pretrain.models import ModelSettings, architecture_of
from pretrain.models.fixed_shape import FixedShape
from pretrain.models.whole_rows import ROWS
from pretrain.tokenizers import PerNucleotide, Tokenizer

if TYPE_CHECKING:
    from pretrain.training.components import RunComponents


def padded_to(components: RunComponents, builder: MicroBatchBuilder, kind: str = "cuda") -> PaddedTo:
    """What makes the micro-batches that a run trains on, on a kind of device."""
    config, fixed, rows = components.config, None, 1
    if config.batch.static:
        fixed = fixed_shape(config, components.longest, components.tokenizer, components.corpora)
    elif kind == "cpu" and config.engine.precision != "fp32" and not _varies(components.settings, components.corpora):
        rows = ROWS
    return PaddedTo(builder.make, fixed, components.settings.pad_token_id, rows)


def fixed_shape(config: Config, longest: int, tokenizer: Tokenizer, corpora: list[Corpus]) -> FixedShape:
    """The shape that every micro-batch of these corpora fits.

    Args:
        config: with ``batch.tokens`` or ``batch.sequences``.
        longest: tokens of the longest sequence.
        tokenizer: of the run.
        corpora: of the run; none where sizes are planned without one.
    """
    batch = config.batch
    tokens = longest * batch.sequences if batch.tokens is None and batch.sequences else batch.tokens or longest
    return FixedShape.holding(tokens, longest, min(longest, _shortest(tokenizer, corpora)), batch.sequences)


def why_not_static(config: Config, settings: ModelSettings, corpora: list[Corpus]) -> str | None:
    """Say in one line why this run cannot have micro-batches of one shape, if it asks for them and cannot."""
    reason = _varies(settings, corpora) if config.batch.static else None
    return reason and f"batch.static=true cannot hold for this run: {reason}; leave the key out"


def _varies(settings: ModelSettings, corpora: list[Corpus]) -> str | None:
    if any(corpus.kind == "allele_frequencies" for corpus in corpora):
        return "the number of variants differs from one micro-batch to the next"
    return architecture_of(settings).varies(settings)


def _shortest(tokenizer: Tokenizer, corpora: list[Corpus]) -> int:
    """Tokens of the shortest sample; for windows and measured lengths a lower bound."""
    fewest = tokenizer.lengths.specials + 1
    if not corpora or not isinstance(tokenizer.lengths, PerNucleotide) or {x.kind for x in corpora} != {"sequences"}:
        return fewest
    splits = [corpus.manifest["splits"]["train"] for corpus in corpora]
    nucleotides = min(split.get("length_nt", {"min": 0}).get("min", 0) for split in splits)
    return max(fewest, int(tokenizer.token_count(np.array([nucleotides]))[0]))
