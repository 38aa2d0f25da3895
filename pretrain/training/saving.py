"""How a run writes its checkpoints."""

from __future__ import annotations

from typing import Literal

from pretrain.config import Config

SHARDED_FROM = 1_000_000_000  # parameters: with Adam's state 12 GB, more than one host should hold or write alone


def saving_of(config: Config, parameters: int, ranks: int) -> Literal["background", "waiting", "sharded"]:
    """``train.checkpoints``, or what ``auto`` stands for: sharded for a large model on more than one rank."""
    if config.train.checkpoints != "auto":
        return config.train.checkpoints
    return "sharded" if ranks > 1 and parameters >= SHARDED_FROM else "background"
