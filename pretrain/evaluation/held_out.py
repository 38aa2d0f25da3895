"""Held-out figures of a finished model: a run of ours, or any Hugging Face folder of our families."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pretrain.config import Config, check, load_config
from pretrain.config.corpus import Corpus as CorpusSettings
from pretrain.config.yaml_file import merge, parse_overrides
from pretrain.data.effects import idle_with, rna_alone
from pretrain.data.sources import open_checked
from pretrain.distributed.context import DistributedContext
from pretrain.errors import PolymeraseError
from pretrain.evaluation.model import checkpoint_of
from pretrain.families import Family
from pretrain.families.custom import CUSTOM
from pretrain.importing import load_pretrained_state
from pretrain.models import ModelSettings, PackedBatch, architecture_of, has_output_head
from pretrain.objectives import OBJECTIVES, LossSums, default_objective
from pretrain.objectives.base import TOKEN_SCOPES
from pretrain.objectives.model import PretrainingModel
from pretrain.runs.checkpoint import WEIGHTS, read_state, read_tensors
from pretrain.training.compatibility import settings_of_checkpoint
from pretrain.training.components import RunComponents, build_components
from pretrain.training.validation import Evaluator

TOKENS_AT_ONCE = 4096  # of models without a recipe


class EvalModel:
    """A model without an engine, for :class:`pretrain.training.validation.Evaluator`."""

    def __init__(self, model: PretrainingModel):
        self._model = model.eval()

    def evaluate(
        self, batch: PackedBatch, targets: dict[str, dict[str, Tensor]], coefficients: dict[str, float]
    ) -> dict[str, LossSums]:
        """The sums of one micro-batch."""
        with torch.no_grad():
            return self._model(batch, targets, coefficients)[1]


def score(
    source: str, corpus: str, settings: list[str], sequences: int, details: bool = True, step: int | None = None
) -> dict[str, Any]:
    """Evaluate on the validation split of a corpus.

    Args:
        source: run folder or Hugging Face folder.
        corpus: corpus folder.
        settings: overrides of the run's (or the family's) config, for example ``masking.rate=0.2``.
        sequences: at most this many validation samples.
        details: of tokens also losses by base and by length.
        step: of a run, the step of the checkpoint; None: the newest whole one.

    Returns:
        Per objective: loss, perplexity where the loss is a cross-entropy, other metrics, the loss of the trivial
        predictor, and ``hidden``, ``shown`` and ``all`` targets, each with loss, standard error over sequences,
        accuracy, and the baselines on the same targets that are told the same; beside them what was evaluated.
    """
    components, model = load(source, corpus, [*settings, f"train.eval_sequences={sequences}"], step)
    place = DistributedContext(0, 0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    evaluator = Evaluator(components, place, shows=True)
    if not evaluator.sequences:
        raise PolymeraseError(f"{corpus}: has no held-out records; make a validation split (python -m data_prep split)")
    figures = evaluator.figures(evaluator.run(EvalModel(model.to(place.device))))
    for name, found in figures.items() if details else ():
        found |= evaluator.details(name)
    return {
        "model": source,
        "family": components.family.name,
        "corpus": corpus,
        "corpus_fingerprint": components.corpora[0].fingerprint,
        "sequences": evaluator.sequences,
        "masking": components.config.masking.model_dump(mode="json"),
        "objectives": figures,
    }


def load(
    source: str, corpus: str, settings: list[str], step: int | None = None
) -> tuple[RunComponents, PretrainingModel]:
    """Load components and trained model of a run folder or a Hugging Face folder, for any corpus."""
    if checkpoint := checkpoint_of(source, step):
        return _load_run(Path(source), checkpoint, corpus, settings)
    family, encoder, state = load_pretrained_state(source)
    if not has_output_head(encoder, state):
        raise PolymeraseError(f"{source}: holds an encoder without output head; its losses cannot be measured")
    components = build_components(for_corpus(_recipe_config(source, family, encoder, settings), corpus, settings))
    return components, components.model()


def _recipe_config(source: str, family: Family, encoder: ModelSettings, settings: list[str]) -> Config:
    """The published recipe of the folder's family, as far as this model holds its sequences.

    Motif masking needs lists that only who built them has; without them letters are masked one by one.
    """
    longest = min(family.max_tokens, encoder.max_position_embeddings)
    if family.name == CUSTOM:
        return _without_recipe(source, encoder, longest, settings)
    name = f"{family.recipe}.yaml"
    weights = [f"model.init_from={source}", "model.tokenizer_file=null"]  # tokens are those of the file beside them
    recipe = load_config(name, weights)
    fitting = [*weights, f"corpus.max_tokens={min(recipe.corpus.max_tokens or longest, longest)}"]
    if recipe.corpus.window:
        bases = family.build_tokenizer().max_nucleotides(longest)
        fitting.append(f"corpus.window={min(recipe.corpus.window, bases)}")
    lists = [
        Path(file)
        for part in getattr(recipe.masking, "parts", [recipe.masking])
        for database in getattr(part, "databases", [])
        for file in database.files
    ]
    if not all(path.is_file() for path in lists):
        fitting.append("masking={strategy: base}")
    return load_config(name, [*fitting, *settings])


def _without_recipe(source: str, encoder: ModelSettings, longest: int, settings: list[str]) -> Config:
    """A model of one's own, of which nobody published a recipe: hidden letters, or the next token if it is causal."""
    architecture = architecture_of(encoder)
    causal = architecture.is_causal(encoder)
    tree = {
        "model": {"architecture": architecture.name, "init_from": source},
        "corpus": {"max_tokens": longest},
        "masking": {"strategy": "none" if causal else "base"},
        "objectives": {default_objective(causal): {}},
        "batch": {"tokens": max(longest, TOKENS_AT_ONCE)},
        "train": {"steps": 1},  # none is taken
    }
    return check(merge(tree, parse_overrides(settings)), source)


def _load_run(
    folder: Path, checkpoint: Path, corpus: str, settings: list[str]
) -> tuple[RunComponents, PretrainingModel]:
    if sizes := [setting for setting in settings if setting.startswith("model.")]:
        raise PolymeraseError(f"{sizes[0]}: the checkpoint decides the model; leave the key out")
    config = load_config(str(folder / "config.yaml"), [*settings, "model.init_from=null"])
    components = build_components(for_corpus(config, corpus, settings))
    # what the run took over from model.init_from besides sizes stands in its checkpoint only
    components = replace(components, settings=settings_of_checkpoint(config, read_state(checkpoint)["identity"]))
    model = components.model()
    weights = read_tensors(checkpoint, WEIGHTS)
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in weights]
    if missing:
        raise PolymeraseError(f"{folder}: the checkpoint lacks {missing[0]}; evaluate with the run's own objectives")
    model.load_state_dict({name: weights[name] for name in wanted})
    return components, model


def for_corpus(config: Config, corpus: str, settings: list[str]) -> Config:
    """Return the config with this corpus only, and the objectives that have targets in it.

    Keys that a recipe sets for corpora of another kind (windows of genomes, frequencies, strands) are left out; keys of
    the caller (``settings``) are not.
    """
    opened = open_checked(corpus)
    columns = set(opened.manifest.get("columns", ()))
    tree = config.model_dump(mode="json")
    tree["corpus"] |= {"path": corpus, "extra": [], "weight": 1.0}
    idle = [key for key, _ in idle_with(config.corpus, [opened])]
    if rna_alone([opened]) and not config.corpus.reverse_complement_rna:
        idle.append("reverse_complement")
    said = tuple(word.partition("=")[0] for word in settings)
    plain = CorpusSettings().model_dump(mode="json")
    for key in idle:
        if not any(f"{word}.".startswith(f"corpus.{key}.") for word in said):
            tree["corpus"][key] = plain[key]
    for name in config.objectives.active():
        if not OBJECTIVES[name].needs.found_in(columns, {opened.kind}):
            tree["objectives"][name] = None
    if not any(
        OBJECTIVES[name].scope in TOKEN_SCOPES
        for name, section in tree["objectives"].items()
        if isinstance(section, dict)
    ):
        tree["objectives"][default_objective(config.masking.strategy == "none")] = {}
    return check(tree, corpus)
