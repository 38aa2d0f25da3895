"""A micro-batch of made-up sequences for a config whose corpus is not there: real tokens, masks and targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_prep.corpus import Ragged
from data_prep.corpus.ragged import offsets_of
from pretrain.batches.collate import MicroBatch, MicroBatchBuilder
from pretrain.config import Config
from pretrain.data.raw_batch import NO_VARIANTS, RawBatch, TokenCrop, Variants
from pretrain.data.stream import SampleStream
from pretrain.masking import build_strategy, strategy_names
from pretrain.models import ModelSettings, side_inputs_of
from pretrain.objectives import OBJECTIVES, Objective, ObjectiveContext
from pretrain.rng import SampleRng
from pretrain.tokenizers import Measured, Tokenizer

_VARIANT_EVERY = 280  # bases between variants, as in 1000 Genomes at a frequency above 0.02


class MadeUpSource:
    """Random letters that become so many tokens each, with every label that an objective may ask for.

    Args:
        lengths: tokens of each sample, specials included.
        has_alleles: samples come with the frequencies of a population.
    """

    def __init__(self, tokenizer: Tokenizer, lengths: Sequence[int], has_alleles: bool):
        self._rule, self._lengths = tokenizer.lengths, np.asarray(lengths, np.int64)
        self._has_alleles = has_alleles
        self.size, self.skipped, self.index_bytes = len(lengths), dict[str, int](), 0

    def token_counts(self, index: np.ndarray) -> np.ndarray:
        """Return the tokens of samples, see ``Source.token_counts``."""
        return self._lengths[index]

    def clusters(self) -> None:
        """Say that samples are in none."""

    def read(self, index: np.ndarray, rng: SampleRng) -> RawBatch:
        """Draw random letters for samples, see ``Source.read``."""
        limit, rule = self._lengths[index], self._rule
        if isinstance(rule, Measured):
            sizes = (limit - rule.specials) * rule.longest
        else:
            sizes = np.array([rule.nucleotides(int(tokens)) for tokens in limit], np.int64)
        offsets, count = offsets_of(sizes), len(index)
        letters = np.frombuffer(b"ACGU", np.uint8)[np.random.default_rng(0).integers(0, 4, int(offsets[-1]))]
        return RawBatch(
            Ragged(letters, offsets),
            Ragged(np.full(len(letters), ord("."), np.uint8), offsets),
            np.full(count, -10.0, np.float32),
            [None] * count,
            self._variants(sizes) if self._has_alleles else NO_VARIANTS,
            np.full(count, self._has_alleles),
            None,
            TokenCrop(limit, np.zeros(count)) if isinstance(rule, Measured) else None,
        )

    @staticmethod
    def _variants(sizes: np.ndarray) -> Variants:
        columns = [np.arange(_VARIANT_EVERY // 2, size, _VARIANT_EVERY) for size in sizes]
        row = np.repeat(np.arange(len(sizes)), [len(column) for column in columns])
        return Variants(row, np.concatenate(columns), np.full((len(row), 4), 0.25, np.float32))


def made_up_builder(
    config: Config, settings: ModelSettings, tokenizer: Tokenizer, lengths: Sequence[int]
) -> tuple[MicroBatchBuilder, dict[str, Objective], ObjectiveContext]:
    """What makes micro-batches of such samples, and what a model needs to be asked about them."""
    context = ObjectiveContext(
        hidden_size=settings.hidden_size,
        strategies=strategy_names(config.masking),
        base_ids=getattr(settings, "base_token_ids", None) or (0, 0, 0, 0),
        mask_id=tokenizer.mask_id,
        vocabulary=tuple(tokenizer.vocab),
    )
    sections = config.objectives.active()
    objectives: dict[str, Objective] = {name: OBJECTIVES[name](section, context) for name, section in sections.items()}
    builder = MicroBatchBuilder(
        [
            MadeUpSource(
                tokenizer,
                lengths,
                any(objective.needs.kind == "allele_frequencies" for objective in objectives.values()),
            )
        ],
        SampleStream([len(lengths)], [1.0], config.run.seed),
        tokenizer,
        build_strategy(config.masking, tokenizer),
        objectives,
        side_inputs_of(settings, tokenizer.vocab),
        config.run.seed,
    )
    return builder, objectives, context


def made_up_batch(builder: MicroBatchBuilder, count: int) -> MicroBatch:
    """All samples of a made-up source in one micro-batch."""
    return builder.make(0, count)
