"""Counted steps of small models: kernels do not depend on the width."""

from collections import Counter
from functools import cache

from pretrain.config import load_config
from pretrain.planning.counted.made_up import made_up_batch, made_up_builder
from pretrain.planning.counted.step import CountedStep, count_step
from pretrain.training.initial_weights import settings_of

LENGTHS = (40, 40, 40)
SMALL = ("model.hidden_size=64", "model.num_attention_heads=4", "model.intermediate_size=128")


@cache
def counted(recipe: str, layers: int, *settings: str, lengths: tuple[int, ...] = LENGTHS) -> CountedStep:
    config = load_config(recipe, [*SMALL, f"model.num_hidden_layers={layers}", *settings])
    family, sizes, _ = settings_of(config)
    builder, objectives, context = made_up_builder(config, sizes, family.build_tokenizer(), lengths)
    return count_step(config, sizes, objectives, context, made_up_batch(builder, len(lengths)))


def kernels(step: CountedStep, phase: str) -> Counter[str]:
    """Kernels by operation."""
    found: Counter[str] = Counter()
    for launch in step.ledger.launches:
        if launch.phase == phase:
            found[launch.name] += launch.kernels
    return found


def per_layer(recipe: str, phase: str, *settings: str) -> dict[str, int]:
    """What one more layer adds."""
    more, less = (kernels(counted(recipe, layers, *settings), phase) for layers in (3, 2))
    more.subtract(less)
    return {name: count for name, count in sorted(more.items()) if count}
