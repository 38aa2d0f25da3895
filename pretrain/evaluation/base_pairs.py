"""Base pairs from the attention scores of a pairing model, without training (recipes/ernie_rna.md#structure).

The scores of one head of the last layer, before the softmax, are made symmetric and turned into a contact map by the
constrained optimization that upstream takes over from E2Efold (Chen et al. 2020); pairs are then taken greedily.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pretrain.errors import PolymeraseError
from pretrain.evaluation.dotbracket import Pairs, StructureRecord, f1, parse_dot_bracket
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.passes import pack
from pretrain.models import side_inputs_of

PUBLISHED_HEAD = 5
_CANONICAL = ("AU", "UA", "GC", "CG", "GU", "UG")
_STEPS, _DECAY, _OFFSET, _SPARSITY = 100, 0.99, 1.5, 1.6
_STEP_CONTACTS, _STEP_MULTIPLIERS = 0.01, 0.1
_THRESHOLD = 0.5


@dataclass(frozen=True)
class PairingResult:
    """Predicted pairs of one record and their F1 by head (H,); F1 of ViennaRNA's structure if it is installed."""

    name: str
    length: int
    pairs: int
    predicted_by_head: list[Pairs]
    f1_by_head: list[float]
    f1_mfe: float | None


def score_structures(model: TrainedModel, records: list[StructureRecord]) -> list[PairingResult]:
    """Compare predicted with known pairs, for every head of the last layer.

    Raises:
        PolymeraseError: the model has no pairing bias, or a record does not fit it.
    """
    if "pair_class" not in side_inputs_of(model.settings, model.tokenizer.vocab):
        raise PolymeraseError(
            f"{model.source}: {model.family.name} models have no base-pairing scores; use a model with a pairing bias"
        )
    longest = model.tokenizer.max_nucleotides(model.max_tokens)
    from tqdm import tqdm

    results = []
    for record in tqdm(records, desc="structures", disable=None):
        if len(record.sequence) > longest:
            raise PolymeraseError(
                f"{record.name}: {len(record.sequence)} nt, the longest input is {longest} nt; leave it out"
            )
        found = [predict_pairs(scores, record.sequence) for scores in attention_scores(model, record.sequence)]
        by_head = [f1(pairs, record.pairs) for pairs in found]
        results.append(
            PairingResult(record.name, len(record.sequence), len(record.pairs), found, by_head, _mfe_f1(record))
        )
    return results


def summary(results: list[PairingResult], head: int | None) -> dict[str, Any]:
    """Return the mean F1 over records of one head, of all heads, and of ViennaRNA.

    The default head is the published one if the model has it, else the last. A head chosen by looking at these figures
    must be tested on other structures.
    """
    heads = len(results[0].f1_by_head)
    chosen = min(PUBLISHED_HEAD, heads - 1) if head is None else head
    if not 0 <= chosen < heads:
        raise PolymeraseError(f"--head {chosen}: the model has heads 0 to {heads - 1}")
    energies = [result.f1_mfe for result in results if result.f1_mfe is not None]
    by_head = np.mean([result.f1_by_head for result in results], axis=0).tolist()
    return {
        "records": len(results),
        "head": chosen,
        "f1": by_head[chosen],
        "f1_by_head": by_head,
        "f1_mfe": float(np.mean(energies)) if energies else None,
        "by_record": [
            {
                "name": result.name,
                "length": result.length,
                "pairs": result.pairs,
                "f1": result.f1_by_head[chosen],
                "f1_mfe": result.f1_mfe,
            }
            for result in results
        ],
    }


def attention_scores(model: TrainedModel, sequence: str) -> np.ndarray:
    """Return the scores of the last layer before the softmax, without special tokens: float64 (H, L, L)."""
    ids = model.tokenizer.encode_text(sequence)
    with torch.no_grad():
        scores = model.network.encoder(pack(model, ids, [len(ids)]), return_extras=True).extras.get("scores")
    assert scores is not None
    return scores[0][-1, :, 1:-1, 1:-1].double().cpu().numpy()


def predict_pairs(scores: np.ndarray, sequence: str) -> Pairs:
    """Predict pairs from the scores (L, L) of one head. Only A-U, G-C and G-U pair, and a base pairs once."""
    contacts = contact_map(scores, canonical_pairs(sequence))
    rows, columns = np.nonzero(np.triu(contacts, 1) > _THRESHOLD)
    pairs: Pairs = set()
    taken: set[int] = set()
    for place in np.argsort(-contacts[rows, columns], kind="stable"):
        i, j = int(rows[place]), int(columns[place])
        if i not in taken and j not in taken:
            pairs.add((i, j))
            taken |= {i, j}
    return pairs


def canonical_pairs(sequence: str) -> np.ndarray:
    """Return 1 where two letters can pair, float64 (L, L)."""
    letters = np.array(list(sequence))
    return np.isin(np.char.add(letters[:, None], letters[None, :]), _CANONICAL).astype(np.float64)


def contact_map(scores: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Turn scores (L, L) into contacts (L, L) with (softly) one partner per base."""
    utility = (scores + scores.T) / 2
    utility = _soft_sign(utility - _OFFSET) * utility
    a = _soft_sign(utility / 2) * _soft_sign(utility - _OFFSET)  # soft_sign(x / 2) is the logistic function
    excess = _contacts(a, allowed).sum(axis=1) - 1
    multipliers = np.maximum(excess, 0)
    step_contacts, step_multipliers = _STEP_CONTACTS, _STEP_MULTIPLIERS
    for _ in range(_STEPS):
        gradient = (multipliers * _soft_sign(excess))[:, None] - utility / 2
        a = a - step_contacts * a * allowed * (gradient + gradient.T)
        step_contacts *= _DECAY
        a = np.maximum(np.abs(a) - _SPARSITY * step_contacts, 0)
        excess = _contacts(a, allowed).sum(axis=1) - 1
        multipliers = multipliers + step_multipliers * np.maximum(excess, 0)
        step_multipliers *= _DECAY
    return _contacts(a, allowed)


def _contacts(a: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    squared = np.square(a)
    return allowed * (squared + squared.T) / 2


def _soft_sign(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-2 x)), without overflow."""
    return (1 + np.tanh(x)) / 2


def _mfe_f1(record: StructureRecord) -> float | None:
    try:
        import RNA
    except ImportError:
        return None
    return f1(parse_dot_bracket(RNA.fold(record.sequence)[0]), record.pairs)
