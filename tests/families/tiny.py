"""Every family small: two layers, whatever its architecture calls its sizes."""

from dataclasses import fields, replace
from typing import Any

from torch import Tensor

from pretrain.families import Family, KeyLayout


def tiny(family: Family, width: int = 32, heads: int = 4, inner: int = 64) -> Any:
    """The family's settings with small sizes."""
    settings = family.settings
    sizes: dict[str, Any] = {
        "hidden_size": width,
        "num_hidden_layers": 2,
        "num_attention_heads": heads,
        "intermediate_size": None if getattr(settings, "block", None) == "post_norm" else inner,
        "attention_layers": (1,),
    }
    if family.architecture == "hyena":  # the published filter may be a million values long
        sizes["max_position_embeddings"] = 66
    own = {each.name for each in fields(settings)}
    return replace(settings, **{name: value for name, value in sizes.items() if name in own})


def second_copies(layout: KeyLayout, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a layout of two layers stores twice, under the names of the copies."""
    named = [(copy, first, i) for copy, first in layout.duplicates.items() for i in range(2)]
    return {copy.format(i=i): tensors[first.format(i=i)] for copy, first, i in named}
