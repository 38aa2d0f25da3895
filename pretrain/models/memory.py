"""What a causal model keeps of sequences that grow: each token is computed once, and later ones read what it left.

The parts of a backbone that mix tokens find the memory in ``PackedBatch.memory``; without one they compute the same
from whole sequences. B sequences of the same length grow together.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class Memory:
    """Tensors of each mixing part of a model, with one row per sequence.

    Attributes:
        longest: tokens that a sequence may grow to.
        tokens: tokens of each sequence that have been read. A pass reads the whole prompt (0 so far) or one token.
    """

    def __init__(self, longest: int) -> None:
        self.longest, self.tokens = longest, 0
        self._rows: dict[tuple[nn.Module, str], Tensor] = {}
        self._shared: dict[nn.Module, Tensor] = {}

    def take(self, rows: Tensor) -> None:
        """Go on with these sequences (B',), which may be fewer or the same one several times."""
        self._rows = {key: kept.index_select(0, rows.to(kept.device)) for key, kept in self._rows.items()}

    def append(self, part: nn.Module, name: str, new: Tensor) -> Tensor:
        """Keep values (B, t, ...) of the tokens of this pass; return those of all tokens so far, (B, T, ...)."""
        end = self.tokens + new.shape[1]
        if self.tokens == 0:
            self._rows[part, name] = new.new_empty(len(new), self.longest, *new.shape[2:])
        kept = self._rows[part, name]
        kept[:, self.tokens : end] = new
        return kept[:, :end]

    def last(self, part: nn.Module, name: str) -> Tensor | None:
        """Return what the pass before left under this name, (B, ...); None in the first one."""
        return self._rows.get((part, name))

    def leave(self, part: nn.Module, name: str, values: Tensor) -> None:
        """Leave values (B, ...) for the next pass."""
        self._rows[part, name] = values

    def shared(self, part: nn.Module, compute: Callable[[], Tensor]) -> Tensor:
        """Return a tensor that depends on weights only; it is computed once."""
        if part not in self._shared:
            self._shared[part] = compute()
        return self._shared[part]
