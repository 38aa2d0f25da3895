"""What micro-batches have in common where all of them have one shape (``batch.static``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FixedShape:
    """The shape of every micro-batch of a run.

    Attributes:
        tokens: N; what sequences leave free is padding, in sequences of its own behind them.
        sequences: places of sequences, S; those behind the last sequence are empty, and at least one is.
        longest: tokens of the longest sequence that may come.
    """

    tokens: int
    sequences: int
    longest: int

    @classmethod
    def holding(cls, tokens: int, longest: int, shortest: int, most: int | None = None) -> FixedShape:
        """The shape that holds any micro-batch within these bounds.

        Args:
            tokens: of all sequences together, at most.
            longest: tokens of a sequence, at most.
            shortest: tokens of a sequence, at least.
            most: sequences, at most; None: as many as fit.
        """
        fit = tokens // shortest
        padding = -(-tokens // longest)  # sequences of it, where it is nearly everything
        return cls(tokens, (fit if most is None else min(fit, most + padding)) + 2, longest)

    @classmethod
    def rounding(cls, lengths: Sequence[int], multiple: int) -> FixedShape:
        """The shape of one micro-batch whose tokens are padded to a multiple of so many."""
        longest, more = max(lengths), -sum(lengths) % multiple
        return cls(sum(lengths) + more, len(lengths) + -(-more // longest) + 1, longest)

    def padding(self, tokens: int) -> list[int]:
        """Lengths, ascending, of the sequences of padding beside so many tokens."""
        if tokens > self.tokens:
            raise ValueError(f"{tokens} tokens do not fit a shape of {self.tokens}")
        whole, rest = divmod(self.tokens - tokens, self.longest)
        return [rest] * (rest > 0) + [self.longest] * whole

    def tiles(self, rows: int) -> int:
        """The most tiles of at most ``rows`` tokens of one sequence that a micro-batch has."""
        return self.tokens // rows + self.sequences
