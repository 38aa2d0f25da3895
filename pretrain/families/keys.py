"""Names of tensors: a published layout on one side, ours on the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
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


# What training code puts before every name: (Distributed)DataParallel and DeepSpeed, torch.compile, Fabric, FSDP, and
# modules of Lightning and of scripts that hold the model
WRAPPERS = ("module.", "_orig_mod.", "_forward_module.", "_fsdp_wrapped_module.", "model.", "net.")


@dataclass(frozen=True)
class KeyRule:
    """One published name pattern and ours. ``{i}`` stands for a layer number, ``{wb}`` for weight or bias.

    Our names begin with ``encoder.``, ``mlm_head.`` or ``heads.<objective>.``; ``unused.`` marks tensors that
    published files hold and no objective reads (poolers): they belong to no module, converters may carry them.
    ``optional`` rules may be missing from a published file.

    A published tensor that holds several of ours has one rule for each: ``Wqkv.weight[0/3]`` is its first third along
    the first axis, ``c_attn.weight[:,0/3]`` along the second.
    """

    theirs: str
    ours: str
    transform: str = "same"
    optional: bool = False


@dataclass(frozen=True)
class KeyLayout:
    """All names of one published layout.

    Attributes:
        duplicates: key -> key, tensors stored a second time that must equal the first (tied weights); may be missing.
            Both may hold ``{i}``.
        ignorable: patterns of keys without information (buffers).
        prefixes: names that hold the model in files of this layout, besides ``WRAPPERS``; cut off if every key begins
            with one.
    """

    rules: tuple[KeyRule, ...]
    duplicates: dict[str, str] = field(default_factory=dict)
    ignorable: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    def to_ours(self, key: str) -> tuple[str, KeyRule] | None:
        """Return our name of a published key and the rule that gave it; None if no rule fits."""
        return next(((name, rule) for rule in self.rules if (name := _rename(rule.theirs, rule.ours, key))), None)

    def to_theirs(self, key: str) -> tuple[str, KeyRule] | None:
        """Return the published name of one of our keys and the rule that gave it; None if no rule fits."""
        return next(((name, rule) for rule in self.rules if (name := _rename(rule.ours, rule.theirs, key))), None)

    def knows(self, key: str) -> bool:
        """Tell whether a rule fits a published key, as a whole or in pieces."""
        return self.to_ours(key) is not None or self.cut(key) is not None

    def cut(self, key: str) -> tuple[int, int] | None:
        """Return (axis, pieces) of a published tensor that holds several of ours; None for one that is whole."""
        for rule in self.rules:
            whole, piece = _piece(rule.theirs)
            if piece is not None and _expression(whole).fullmatch(key):
                return piece[0], piece[2]
        return None

    def original_of(self, key: str) -> str | None:
        """Return the published key whose tensor this one repeats; None if it is not a duplicate."""
        pairs = self.duplicates.items()
        return next((name for copy, first in pairs if (name := _rename(copy, first, key))), None)

    def is_ignorable(self, key: str) -> bool:
        """Tell whether a published key holds nothing we need."""
        return any(_expression(pattern).fullmatch(key) for pattern in self.ignorable)


_PIECE = re.compile(r"(.+)\[(:,)?(\d+)/(\d+)\]")


@cache
def _piece(theirs: str) -> tuple[str, tuple[int, int, int] | None]:
    """``NAME[:,1/3]`` -> NAME and (axis 1, number 1, of 3); a name without brackets has no piece."""
    found = _PIECE.fullmatch(theirs)
    if found is None:
        return theirs, None
    return found[1], (1 if found[2] else 0, int(found[3]), int(found[4]))


def in_pieces(layout: KeyLayout, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Cut published tensors that hold several of ours, and name the pieces as the rules do.

    A tensor that cannot be cut evenly stays whole, for the importer to refuse.
    """
    result: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        cut = layout.cut(key)
        if cut is None or tensor.dim() <= cut[0] or tensor.shape[cut[0]] % cut[1]:
            result[key] = tensor
            continue
        axis, count = cut
        for number, piece in enumerate(tensor.chunk(count, axis)):
            result[f"{key}[{':,' * axis}{number}/{count}]"] = piece
    return result


def put_together(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join pieces to the published tensor that holds them; the inverse of ``in_pieces``.

    Raises:
        KeyError: a piece is missing.
    """
    from torch import cat

    result: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        whole, piece = _piece(key)
        if piece is None:
            result[key] = tensor
        elif whole not in result:
            axis, _, count = piece
            names = [f"{whole}[{':,' * axis}{number}/{count}]" for number in range(count)]
            result[whole] = cat([tensors[name] for name in names], axis)
    return result


def numbers_behind(names: Iterable[str], prefix: str) -> set[int]:
    """Return the numbers that follow a prefix (``encoder.layers.``) in any of the names."""
    expression = re.compile(re.escape(prefix) + r"(\d+)\.")
    return {int(found[1]) for name in names if (found := expression.match(name))}


def _rename(source: str, target: str, key: str) -> str | None:
    found = _expression(source).fullmatch(key)
    return target.format(**found.groupdict()) if found else None


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    text = re.escape(pattern)
    return re.compile(text.replace(r"\{i\}", r"(?P<i>\d+)").replace(r"\{wb\}", "(?P<wb>weight|bias)"))
