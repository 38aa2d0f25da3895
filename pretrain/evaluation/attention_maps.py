"""How much each token of a sequence looks at each other one, in one layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pretrain.errors import PolymeraseError
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.passes import pack
from pretrain.models import architecture_of


@dataclass(frozen=True)
class AttentionMap:
    """Attention of one sequence of T tokens.

    Attributes:
        name: of the sequence.
        tokens: the T tokens, special ones included.
        weights: float32 (H, T, T); row i is how much token i looks at each token, its sum is 1.
    """

    name: str
    tokens: tuple[str, ...]
    weights: np.ndarray


def attention_map(model: TrainedModel, name: str, sequence: str, layer: int = -1) -> AttentionMap:
    """Return the attention of a layer (0 the first, -1 the last).

    Raises:
        PolymeraseError: the model has no attention, no such layer, or does not hold the sequence.
    """
    longest = model.tokenizer.max_nucleotides(model.max_tokens)
    if len(sequence) > longest:
        raise PolymeraseError(f"{name}: {len(sequence):,} nt, the model holds {longest:,}; cut it or leave it out")
    layers = architecture_of(model.settings).layers(model.settings)
    if not -layers <= layer < layers:
        raise PolymeraseError(f"{model.source}: expected a layer from 0 to {layers - 1}, got {layer}; choose --layer")
    ids = model.tokenizer.encode_text(sequence)
    weights = model.network.encoder.attention_weights(pack(model, ids, [len(ids)]), layer)
    if weights is None:
        raise PolymeraseError(f"{model.source}: {model.family.name} models have no attention to look at")
    return AttentionMap(name, tuple(model.tokenizer.vocab[number] for number in ids), weights.cpu().numpy())


def table(found: AttentionMap) -> str:
    """Tab-separated text, a line per pair of tokens and a column per head; places of tokens are counted from 0."""
    heads, length, _ = found.weights.shape
    lines = ["\t".join(["from", "from_token", "to", "to_token", *(f"head_{head}" for head in range(heads))])]
    for i in range(length):
        for j in range(length):
            row = "\t".join(f"{value:.5g}" for value in found.weights[:, i, j])
            lines.append(f"{i}\t{found.tokens[i]}\t{j}\t{found.tokens[j]}\t{row}")
    return "\n".join(lines) + "\n"
