"""Names of tensors: a published layout on one side, ours on the other."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a second, which listing families does not need
    from torch import Tensor


def _transposed(tensor: Tensor) -> Tensor:
    """A matrix the other way round; what is no matrix stays as it is, for the importer to refuse."""
    return tensor.T.contiguous() if tensor.dim() == 2 else tensor


# name -> (published tensor to ours, ours to published)
TRANSFORMS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "same": (lambda t: t, lambda t: t),
    "transpose": (_transposed, _transposed),  # Paddle keeps Linear weights as (in, out)
    "double": (lambda t: t * 2, lambda t: t / 2),  # DNABERT and 3UTRBERT add their output bias twice
}


@dataclass(frozen=True)
class KeyRule:
    """One published name pattern and ours. ``{i}`` stands for a layer number, ``{wb}`` for weight or bias.

    Names of ours begin with ``encoder.``, ``mlm_head.`` or ``heads.<objective>.``; ``unused.`` marks tensors that
    published files hold and no objective reads (poolers): they belong to no module, converters may carry them.
    ``optional`` rules may be missing from a published file.
    """

    theirs: str
    ours: str
    transform: str = "same"
    optional: bool = False


@dataclass(frozen=True)
class KeyLayout:
    """All names of one published layout.

    duplicates: key -> key, tensors stored a second time that must equal the first (tied weights); may be missing.
    Both may hold ``{i}``.
    ignorable: patterns of keys without information (buffers). prefixes: cut off where every key begins with one; the
    first is what DataParallel and DistributedDataParallel put before every name.
    """

    rules: tuple[KeyRule, ...]
    duplicates: dict[str, str] = field(default_factory=dict)
    ignorable: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ("module.",)

    def to_ours(self, key: str) -> tuple[str, KeyRule] | None:
        """Our name of a published key and the rule that gave it; None if no rule fits."""
        return next(((name, rule) for rule in self.rules if (name := _rename(rule.theirs, rule.ours, key))), None)

    def to_theirs(self, key: str) -> tuple[str, KeyRule] | None:
        """Published name of one of our keys and the rule that gave it; None if no rule fits."""
        return next(((name, rule) for rule in self.rules if (name := _rename(rule.ours, rule.theirs, key))), None)

    def original_of(self, key: str) -> str | None:
        """The published key whose tensor this one repeats; None if it is no duplicate."""
        pairs = self.duplicates.items()
        return next((name for copy, first in pairs if (name := _rename(copy, first, key))), None)

    def is_ignorable(self, key: str) -> bool:
        """Whether a published key holds nothing we need."""
        return any(_expression(pattern).fullmatch(key) for pattern in self.ignorable)


def _rename(source: str, target: str, key: str) -> str | None:
    found = _expression(source).fullmatch(key)
    return target.format(**found.groupdict()) if found else None


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    text = re.escape(pattern)
    return re.compile(text.replace(r"\{i\}", r"(?P<i>\d+)").replace(r"\{wb\}", "(?P<wb>weight|bias)"))
