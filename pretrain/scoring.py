"""Held-out figures of a finished model: a run of ours, or any Hugging Face folder of our families."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pretrain.assembly import Parts, assemble
from pretrain.baselines import BASELINE
from pretrain.batching import to_device
from pretrain.checkpoint import WEIGHTS, find_checkpoint, read_tensors
from pretrain.config import Config, check, load_config
from pretrain.data.sources import open_checked
from pretrain.distributed import Place
from pretrain.errors import PolymeraseError
from pretrain.evaluating.details import MlmDetails
from pretrain.evaluating.markov import MarkovChains, chain_name, targets_of
from pretrain.evaluating.model import is_run
from pretrain.evaluation import Evaluator, evaluation_batches
from pretrain.importing import load_pretrained_state
from pretrain.models import PackedBatch
from pretrain.objectives import Sums
from pretrain.objectives.model import PretrainingModel

# columns (or the kind of corpus) that an objective's targets come from
_NEEDS = {"structure": "structure", "mfe": "mfe_kcal_per_mol", "rna_type": "rna_type"}
_LIKELIHOODS = ("mlm", "soft_label", "structure", "rna_type")  # objectives whose loss is a cross-entropy
_CHAIN_SEQUENCES = 16384  # training samples that the Markov chains are fitted on


class PlainModel:
    """A model without an engine, as :class:`pretrain.evaluation.Evaluator` wants it."""

    def __init__(self, model: PretrainingModel):
        self._model = model.eval()

    def evaluate(
        self, batch: PackedBatch, targets: dict[str, dict[str, Tensor]], coefficients: dict[str, float]
    ) -> dict[str, Sums]:
        """The sums of one micro-batch."""
        with torch.no_grad():
            return self._model(batch, targets, coefficients)[1]


def score(source: str, corpus: str, settings: list[str], sequences: int, details: bool = True) -> dict[str, Any]:
    """Evaluate on the validation split of a corpus.

    Args:
        source: run folder or Hugging Face folder.
        corpus: corpus folder.
        settings: overrides of the run's (or the family's) config, for example ``masking.rate=0.2``.
        sequences: at most this many validation samples.
        details: for mlm, also losses by base and by length, and Markov chains; a second pass over the samples.

    Returns:
        Per objective: loss, perplexity where the loss is a cross-entropy, other metrics, and the loss of the trivial
        predictor; beside them what was evaluated.
    """
    parts, model = load(source, corpus, [*settings, f"train.eval_sequences={sequences}"])
    place = Place(0, 0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    evaluator = Evaluator(parts, place)
    if not evaluator.sequences:
        raise PolymeraseError(f"{corpus}: nothing is held out; make a validation split (python -m data_prep split)")
    model = model.to(place.device)
    values = evaluator.run(PlainModel(model))
    result: dict[str, Any] = {
        "model": source,
        "family": parts.family.name,
        "corpus": corpus,
        "corpus_fingerprint": parts.corpora[0].fingerprint,
        "sequences": evaluator.sequences,
        "objectives": {},
    }
    for name, trivial in evaluator.baselines.items():
        prefix = f"validation/{name}/"
        figures = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
        if name in _LIKELIHOODS:
            figures["perplexity"] = math.exp(min(figures["loss"], 700.0))
        result["objectives"][name] = {**figures, "trivial_loss": trivial}
    if details and "mlm" in result["objectives"]:
        result["objectives"]["mlm"] |= _mlm_details(parts, model, place, evaluator.sequences)
    return result


def baseline_losses(config: Config) -> dict[str, dict[str, float]]:
    """Objective -> baseline -> its loss on the held-out samples of a run: the trivial predictor, for mlm also the best
    Markov chain. No model is needed. PolymeraseError where the corpus is not there."""
    tree = config.model_dump(mode="json")
    tree["model"] |= {"init_from": None}
    parts = assemble(check(tree, str(config.run.dir)))
    place = Place(0, 0, 1, torch.device("cpu"))
    evaluator = Evaluator(parts, place)
    found = {name: {BASELINE[name]: loss} for name, loss in evaluator.baselines.items()}
    if "mlm" in found:
        chains = _chains(parts, place)
        losses: dict[str, list[np.ndarray]] = {}
        for batch in evaluation_batches(parts, parts.batches("validation"), evaluator.sequences, place):
            if batch.counts["mlm"]:
                for name, values in chains.losses(targets_of(batch, parts.tokenizer)).items():
                    losses.setdefault(name, []).append(values)
        means = {name: float(np.nanmean(np.concatenate(parts))) for name, parts in losses.items()}
        best = min(means, key=lambda name: means[name])
        found["mlm"][chain_name(best)] = means[best]
    return found


def _chains(parts: Parts, place: Place) -> MarkovChains:
    train = parts.batches("train")
    seen = min(_CHAIN_SEQUENCES, sum(source.size for source in train.sources))
    return MarkovChains(
        targets_of(batch, parts.tokenizer).codes for batch in evaluation_batches(parts, train, seen, place)
    )


def _mlm_details(parts: Parts, model: PretrainingModel, place: Place, sequences: int) -> dict[str, Any]:
    details = MlmDetails(_chains(parts, place), parts.tokenizer)
    for batch in evaluation_batches(parts, parts.batches("validation"), sequences, place):
        packed, targets = to_device(batch, place.device)
        with torch.no_grad():
            hidden = model.encoder(packed).hidden[targets["mlm"]["index"]]
            logits = model.mlm_head(hidden, model.encoder.embeddings.word.weight)
        details.add(batch, logits.float().log_softmax(dim=-1).cpu().numpy())
    return details.report()


def load(source: str, corpus: str, settings: list[str]) -> tuple[Parts, PretrainingModel]:
    """The parts and the trained model of a run folder or a Hugging Face folder, for a corpus it may never have seen."""
    folder = Path(source)
    if is_run(folder):
        return _load_run(folder, corpus, settings)
    family, _, state = load_pretrained_state(source)
    if "mlm_head.bias" not in state:
        raise PolymeraseError(f"{source}: holds an encoder without output head; its losses cannot be measured")
    name = "ernie" if family.name == "ernie_rna" else family.name
    parts = assemble(_for_corpus(load_config(f"{name}.yaml", [*settings, f"model.init_from={source}"]), corpus))
    return parts, parts.model()


def _load_run(folder: Path, corpus: str, settings: list[str]) -> tuple[Parts, PretrainingModel]:
    config = load_config(str(folder / "config.yaml"), [*settings, "model.init_from=null"])
    parts = assemble(_for_corpus(config, corpus))
    model = parts.model()
    weights = read_tensors(find_checkpoint(folder), WEIGHTS)
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in weights]
    if missing:
        raise PolymeraseError(f"{folder}: the checkpoint lacks {missing[0]}; evaluate with the run's own objectives")
    model.load_state_dict({name: weights[name] for name in wanted})
    return parts, model


def _for_corpus(config: Config, corpus: str) -> Config:
    """The config with this corpus alone, and the objectives that have targets in it."""
    opened = open_checked(corpus)
    columns = set(opened.manifest.get("columns", ()))
    tree = config.model_dump(mode="json")
    tree["corpus"] |= {"path": corpus, "extra": []}
    for name in config.objectives.active():
        soft = opened.kind == "allele_frequencies"
        if (name in _NEEDS and _NEEDS[name] not in columns) or (name == "soft_label" and not soft):
            tree["objectives"][name] = None
    if tree["objectives"]["mlm"] is None and tree["objectives"]["soft_label"] is None:
        tree["objectives"]["mlm"] = {}
    return check(tree, corpus)
