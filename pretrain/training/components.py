"""From a config to the components of a run: family, tokenizer, corpora, objectives, model. Needs no process group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from data_prep.corpus import Corpus
from data_prep.errors import DataPrepError
from pretrain.batches.collate import MicroBatchBuilder
from pretrain.config import Config, RunPhase, phases_of
from pretrain.data.balance import Clusters
from pretrain.data.effects import check_effects
from pretrain.data.held_out import HeldOut, held_out_of
from pretrain.data.sources import Source, open_checked, open_source
from pretrain.data.stream import SampleStream
from pretrain.data.trained_before import trained_before
from pretrain.errors import PolymeraseError
from pretrain.families import Family
from pretrain.importing.source import stated_corpora
from pretrain.masking import MaskingStrategy, build_strategy, strategy_names
from pretrain.models import LanguageModel, ModelSettings, side_inputs_of
from pretrain.objectives import OBJECTIVES, Objective, ObjectiveContext
from pretrain.objectives.model import PretrainingModel
from pretrain.rng import derive_seed
from pretrain.tokenizers import Tokenizer
from pretrain.training.fit import check_fit, longest_input, longest_of
from pretrain.training.initial_weights import (
    check_heads,
    load_initial,
    new_heads,
    options_of,
    settings_of,
    with_settings,
)


@dataclass(frozen=True)
class RunComponents:
    """The components of a run, equal on every rank."""

    config: Config  # sizes and run.dir filled in
    family: Family
    settings: ModelSettings
    tokenizer: Tokenizer
    corpora: list[Corpus]
    held_out: HeldOut
    masking: MaskingStrategy
    objectives: dict[str, Objective]
    context: ObjectiveContext
    initial: dict[str, torch.Tensor] | None  # weights of model.init_from, under our names
    new_heads: tuple[str, ...] = ()  # what they lack, in words

    def of_phase(self, phase: RunPhase) -> RunComponents:
        """The same run as one of its phases reads and masks."""
        config = with_settings(phase.config, self.family, self.settings)
        check_fit(config, self.family, self.settings, self.tokenizer, self.corpora)
        _check_effects(config, self.corpora, self.tokenizer, self.objectives)
        return replace(self, config=config, masking=build_strategy(config.masking, self.tokenizer))

    def model(self) -> PretrainingModel:
        """Build the model before the first step; the same on every rank."""
        torch.manual_seed(derive_seed("initialisation", self.config.run.seed) % 2**63)
        language_model = LanguageModel.build(self.settings, options_of(self.config, self.settings))
        model = PretrainingModel(language_model, self.objectives, self.context)
        if self.initial is not None:
            load_initial(model, self.initial, str(self.config.model.init_from))
        return model

    @property
    def longest(self) -> int:
        """Tokens of the longest sample of this run, at most."""
        return min(longest_input(self.config, self.family, self.settings), longest_of(self.tokenizer, self.corpora))

    def sources(self, split: str) -> list[tuple[int, Source]]:
        """Open the corpora that have samples in a split, each with its number.

        Raises:
            PolymeraseError: a corpus has no usable sample to train on.
        """
        settings = self.config.corpus
        max_tokens = longest_input(self.config, self.family, self.settings)
        found = []
        for number, corpus in enumerate(self.corpora):
            held_out = self.held_out.rows[number] if split == "train" else None
            source = open_source(corpus, split, self.tokenizer, settings, max_tokens, held_out)
            if source.size:
                found.append((number, source))
            elif split == "train":
                why = (
                    ", ".join(f"{count:,} {reason}" for reason, count in source.skipped.items() if count)
                    or "it is empty"
                )
                raise PolymeraseError(
                    f"{corpus.folder}: no usable sample to train on ({why}); build a larger corpus, or change "
                    "corpus.max_tokens or corpus.too_long"
                )
        return found

    def samples(self, builder: MicroBatchBuilder) -> list[str]:
        """Describe the samples that each corpus gives a builder."""
        said = []
        for number, source in enumerate(builder.sources):
            skipped = {reason: count for reason, count in source.skipped.items() if count}
            folder = self.corpora[number].folder
            clusters = builder.stream.clusters[number]
            count = f"{source.size:,} samples" if clusters is None else f"{clusters.size:,} of {source.size:,} samples"
            unbalanced = clusters is None and self.config.corpus.balance == "cluster_if_known"
            note = ", not balanced: the corpus has no clusters (corpus.balance)" if unbalanced else ""
            said.append(f"{folder}: {count} per epoch, skipped {skipped or 'none'}{note}")
        return said

    def batches(self, split: str) -> MicroBatchBuilder:
        """Return the builder of micro-batches of one split of all corpora."""
        numbers, sources = zip(*self.sources(split), strict=True)
        settings, seed = self.config.corpus, self.config.run.seed
        weights = [settings.weight, *(extra.weight for extra in settings.extra)]
        clusters = [
            None if split != "train" or settings.balance == "none" or (codes := source.clusters()) is None
            else Clusters(codes, derive_seed("clusters", seed, number))
            for number, source in zip(numbers, sources, strict=True)
        ]  # fmt: skip
        return MicroBatchBuilder(
            list(sources),
            SampleStream([source.size for source in sources], [weights[number] for number in numbers], seed, clusters),
            self.tokenizer,
            self.masking,
            self.objectives,
            side_inputs_of(self.settings, self.tokenizer.vocab),
            seed if split == "train" else derive_seed(split, seed),
        )


def build_components(config: Config) -> RunComponents:
    """Open and check everything a run needs.

    Raises:
        PolymeraseError: names the key at fault.
    """
    family, settings, initial = settings_of(config)
    tokenizer = _tokenizer(config, family)
    if config.corpus.path is None:
        raise PolymeraseError(
            "corpus.path is not set; give the folder of a corpus, for example corpus.path=corpora/mine"
        )
    corpora = [open_checked(path) for path in (config.corpus.path, *(extra.path for extra in config.corpus.extra))]
    _refuse_twice(corpora)
    check_fit(config, family, settings, tokenizer, corpora)
    context = _context(config, settings, tokenizer, corpora)
    objectives: dict[str, Objective] = {
        name: OBJECTIVES[name](section, context) for name, section in config.objectives.active().items()
    }
    _check_effects(config, corpora, tokenizer, objectives)
    filled = with_settings(config, family, settings)
    masking = build_strategy(config.masking, tokenizer)
    before, notes = _before(config, corpora)
    try:
        held_out = held_out_of(corpora, before)
        held_out = replace(held_out, notes=(*held_out.notes, *notes))
    except DataPrepError as error:
        raise PolymeraseError(str(error)) from None
    components = RunComponents(
        filled, family, settings, tokenizer, corpora, held_out, masking, objectives, context, initial
    )
    components.sources("train")  # complains here, before any process starts
    if config.train.patience and not components.sources("validation"):
        raise PolymeraseError(
            f"train.patience={config.train.patience} has no effect: no corpus holds samples out; make a validation "
            "split (python -m data_prep split), or leave it out"
        )
    if config.train.phases:
        _check_phases(components)
    if initial is not None:
        with torch.device("meta"):
            model = PretrainingModel(LanguageModel.build(settings), objectives, context)
        check_heads(model, initial, str(config.model.init_from))
        new = new_heads(model, initial, str(config.model.init_from))
        components = replace(components, new_heads=tuple(new))
    return components


def _refuse_twice(corpora: list[Corpus]) -> None:
    """Raise PolymeraseError for a mixture with itself: an epoch would hold every sample twice."""
    for number, corpus in enumerate(corpora):
        if corpus.fingerprint in {other.fingerprint for other in corpora[:number]}:
            raise PolymeraseError(
                f"corpus.extra.{number - 1}.path: {corpus.folder} holds what another corpus of this run holds; leave "
                "one of them out"
            )


def _before(config: Config, corpora: list[Corpus]) -> tuple[list[Corpus], list[str]]:
    """What the first weights were trained on, as far as it is known and here."""
    if config.model.init_from is None:
        return [], []
    return trained_before(config.model.init_from, stated_corpora(Path(config.model.init_from)), corpora)


def _check_phases(components: RunComponents) -> None:
    for phase in phases_of(components.config):
        try:
            components.of_phase(phase).sources("train")
        except PolymeraseError as error:
            raise PolymeraseError(f"train.phases.{phase.number - 1}: {error}") from None


def _check_effects(
    config: Config, corpora: list[Corpus], tokenizer: Tokenizer, objectives: dict[str, Objective]
) -> None:
    weighs = any(objective.scope in ("hidden_tokens", "next_tokens") for objective in objectives.values())
    check_effects(config.corpus, corpora, tokenizer, weighs_tokens=weighs)


def _tokenizer(config: Config, family: Family) -> Tokenizer:
    tokenizer, name = family.build_tokenizer(), family.tokenizer
    options: dict[str, bool] = {}
    for key, option, wanted, reason in (
        ("label_slot", "label_slot", config.corpus.label_slot, "has no RNA types in its vocabulary"),
        ("upper_case", "case_sensitive", not config.corpus.upper_case, "does not distinguish upper and lower case"),
    ):
        if not wanted:
            continue
        options[option] = True
        try:
            tokenizer = family.build_tokenizer(**options)
        except PolymeraseError:
            raise PolymeraseError(f"corpus.{key}: {name} {reason}; leave it out") from None
    return tokenizer


def _context(config: Config, settings: ModelSettings, tokenizer: Tokenizer, corpora: list[Corpus]) -> ObjectiveContext:
    return ObjectiveContext(
        hidden_size=settings.hidden_size,
        strategies=strategy_names(config.masking),
        base_ids=getattr(settings, "base_token_ids", None) or (0, 0, 0, 0),
        mask_id=tokenizer.mask_id,
        vocabulary=tuple(tokenizer.vocab),
        train_splits=tuple(corpus.manifest["splits"]["train"] for corpus in corpora),
    )
