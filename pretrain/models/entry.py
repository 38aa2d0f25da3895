"""The description of an architecture, as data. Nothing here imports torch: configs and help texts read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pretrain.models.backbone import Backbone
    from pretrain.models.heads import HeadSettings


# token ids (N,) as they are before corruption, flat selected positions (M,) or None -> one value per token (N,)
SideInput = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
Dimensions = Mapping[str, tuple[str, int]]


def no_side_inputs(settings: Any, vocab: tuple[str, ...]) -> dict[str, SideInput]:
    """Return no side inputs: the architecture reads token ids only."""
    return {}


@dataclass(frozen=True)
class Architecture:
    """One entry of ``pretrain.models.architecture.ARCHITECTURES``.

    Settings and options are frozen dataclasses; their fields are the keys of ``model:`` in a run's YAML. Settings
    hold at least ``vocab_size hidden_size pad_token_id mask_token_id max_position_embeddings``. They may have a
    property ``idle``: fields that change nothing beside the others, with the reason.

    Attributes:
        name: its key.
        settings: class of its settings.
        options: class of its memory choices, which change no result; every field has a default.
        build: (settings, options) -> backbone with first weights.
        head: settings -> settings of the output head.
        dimensions: setting -> (our tensor, its axis), what an importer reads sizes from.
        more_places: setting -> further such places, for weights that lack the first (an encoder without output head).
        counted: setting -> prefix of numbered modules (``encoder.layers.``), whose highest number + 1 it is.
        unseen: sizes that no tensor tells, so that somebody has to state them.
        flops_per_token: (settings, tokens of the sequence) -> operations of the backbone's forward pass per token.
        activation_bytes: (settings, options, lengths of the sequences, bytes of a value) -> what the forward pass
            keeps for the backward pass.
        longest_input: settings -> tokens of the longest sequence it can read, None without a limit.
        is_causal: settings -> no token sees those after it.
        remembers: settings -> a causal model that can read on from a ``Memory`` and gets what it would get from whole
            sequences.
        summary: settings -> rows of a model card.
        layers: settings -> number of hidden states after the embeddings.
        side_inputs: (settings, vocabulary) -> name in ``PackedBatch.side`` -> host function that fills it.
        idle_options: (settings, options) -> options that have no effect, with the reason.
        varies: settings -> why the shapes of its operations follow the lengths of the sequences even where
            micro-batches have one shape; None if they do not, on a GPU.
        keeps_pairs: settings -> memory grows with the square of a length.
        first_weights: settings that only say how weights begin.
        former: field of settings of former versions -> today's fields with its value, for checkpoints made before.
    """

    name: str
    settings: type
    options: type
    build: Callable[[Any, Any], Backbone]
    head: Callable[[Any], HeadSettings]
    dimensions: Dimensions
    flops_per_token: Callable[[Any, float], float]
    activation_bytes: Callable[[Any, Any, Sequence[int], int], float]
    longest_input: Callable[[Any], int | None]
    is_causal: Callable[[Any], bool]
    summary: Callable[[Any], dict[str, object]]
    layers: Callable[[Any], int]
    more_places: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    counted: Mapping[str, str] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    side_inputs: Callable[[Any, tuple[str, ...]], dict[str, SideInput]] = no_side_inputs
    idle_options: Callable[[Any, Any], dict[str, str]] = lambda settings, options: {}
    varies: Callable[[Any], str | None] = lambda settings: "it works on groups of sequences of similar length"
    keeps_pairs: Callable[[Any], bool] = lambda settings: False
    remembers: Callable[[Any], bool] = lambda settings: False
    first_weights: tuple[str, ...] = ()
    former: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
