"""Formulas of several operations that are one kernel on a GPU: torch compiles them, once for any number of tokens.

The formula itself is the plain twin. What is compiled here must not depend on anything but its arguments.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from pretrain.models.device_kind import counting

# a kernel of a few lines needs no pool of compiler processes, which torch would start per rank (32 of them)
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")


def fuse(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The formula as one kernel each way.

    Args:
        formula: a function of tensors, the same object at every call.
    """
    stand_ins = counting()
    return _compiled(formula) if stand_ins is None else stand_ins.fuse(formula)


@cache
def _compiled(formula: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(formula, dynamic=True, fullgraph=True)
