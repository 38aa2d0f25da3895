"""Which side of a branch a device takes, asked in one place: so a step can be counted for a GPU on a machine without.

``pretrain/planning/counted`` runs a step on tensors that hold nothing and says so here; nobody else does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Counting:
    """What stands in while a step is counted.

    Attributes:
        kind: the kind of device that every tensor pretends to lie on.
        attention_programs: in place of the module ``kernels.triton_programs``.
        row_programs: in place of the module ``kernels.triton_rows``.
        fuse: in place of ``fused.fuse``.
    """

    kind: str
    attention_programs: Any
    row_programs: Any
    fuse: Any


_counting: Counting | None = None


def counting() -> Counting | None:
    """What stands in now; None in every run that computes."""
    return _counting


def kind_of(device: torch.device | str) -> str:
    """``cuda`` or ``cpu``: what a branch on the device goes by."""
    return _counting.kind if _counting is not None else torch.device(device).type


@contextmanager
def pretend(stand_ins: Counting) -> Iterator[None]:
    """Inside, every device is of the kind that is counted."""
    global _counting
    before, _counting = _counting, stand_ins
    try:
        yield
    finally:
        _counting = before
