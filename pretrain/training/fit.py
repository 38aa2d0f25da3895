"""What must fit together in a run: the lengths of its sequences, its model, its tokenizer, its objectives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from data_prep.corpus import Corpus
from pretrain.config import Config
from pretrain.errors import PolymeraseError
from pretrain.families import Family
from pretrain.models import ModelSettings, architecture_of
from pretrain.objectives import OBJECTIVES, default_objective
from pretrain.tokenizers import Tokenizer
from pretrain.training.static_shapes import why_not_static


def longest_input(config: Config, family: Family, settings: ModelSettings) -> int:
    """Return the tokens of the longest sample, specials included.

    Position tables may have more rows than that: the published recipe decides.
    """
    return config.corpus.max_tokens or min(family.max_tokens, settings.max_position_embeddings)


def _misfits(config: Config, settings: ModelSettings, corpora: list[Corpus]) -> Iterator[str]:
    """Requirements of each objective that this run does not meet."""
    columns = {column for corpus in corpora for column in corpus.manifest.get("columns", ())}
    kinds = {corpus.kind for corpus in corpora}
    folders = " ".join(str(corpus.folder) for corpus in corpora)
    causal, strategy = architecture_of(settings).is_causal(settings), config.masking.strategy
    for name, section in config.objectives.active().items():
        objective = OBJECTIVES[name]
        needs, key = objective.needs_of(section), f"objectives.{name}"
        if not needs.found_in(columns, kinds):
            yield f"{key} needs {needs.advice.format(corpus=folders)}"
        if needs.masking is True and strategy == "none":
            yield (
                f"{key} predicts hidden tokens: expected a masking strategy, got masking.strategy=none; set another one"
            )
        if needs.masking is False and strategy != "none":
            yield (
                f"{key} predicts every token: expected masking.strategy=none, got {strategy}; "
                "set masking='{strategy: none}'"
            )
        if needs.causal is not None and needs.causal != causal:
            wanted, got = (("a causal", "a bidirectional"), ("a bidirectional", "a causal"))[causal]
            yield (
                f"{key} needs {wanted} backbone, got {got} one ({config.model.family}); "
                f"use objectives.{default_objective(causal)} or another model"
            )
        if (problem := objective.misfit(section, config)) is not None:
            yield problem


def check_fit(
    config: Config, family: Family, settings: ModelSettings, tokenizer: Tokenizer, corpora: list[Corpus]
) -> None:
    """Check what depends on corpus, tokenizer and objectives together.

    Raises:
        PolymeraseError: names the key at fault.
    """
    kinds = {corpus.kind for corpus in corpora}
    longest = longest_input(config, family, settings)
    held = architecture_of(settings).longest_input(settings)
    budget, cells = config.batch.tokens, config.batch.pair_cells
    most = min(longest, longest_of(tokenizer, corpora))
    problems = (
        (
            held is not None and longest > held,
            f"corpus.max_tokens={longest} exceeds model.max_position_embeddings={settings.max_position_embeddings}",
        ),
        (
            tokenizer.max_nucleotides(longest) < tokenizer.min_nucleotides,
            f"corpus.max_tokens={longest} leaves no room for a nucleotide; raise it",
        ),
        (
            budget is not None and budget < most,
            f"batch.tokens={budget} holds no sequence of {most} tokens; "
            "raise it, or lower corpus.max_tokens or model.max_position_embeddings",
        ),
        (
            cells is not None and cells < most**2,
            f"batch.pair_cells={cells} holds no sequence of {most} tokens ({most**2} cells); "
            "raise it, or lower corpus.max_tokens or model.max_position_embeddings",
        ),
        (
            "allele_frequencies" in kinds and tokenizer.nucleotides_per_token != 1,
            "an allele-frequency corpus needs a tokenizer with one token per nucleotide",
        ),
    )
    static = why_not_static(config, settings, corpora)
    found = [problem for holds, problem in problems if holds] + ([static] if static else [])
    for problem in (*found, *_misfits(config, settings, corpora)):
        raise PolymeraseError(problem)


def longest_of(tokenizer: Tokenizer, corpora: list[Corpus]) -> int:
    """Tokens of the longest sequence of the corpora (a bound: allele-frequency windows are cut to fit)."""
    splits = [split for corpus in corpora for split in corpus.manifest["splits"].values()]
    longest = max(split.get("length_nt", {"max": 2**31}).get("max", 0) for split in splits)
    return int(tokenizer.token_count(np.array([longest]))[0])
