"""Likelihoods of sequences as a result: per record and over all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar


class HasLikelihood(Protocol):
    """What is known of a sequence, or of all of them."""

    @property
    def nucleotides(self) -> int:
        """Those that were predicted."""

    @property
    def log_likelihood(self) -> float:
        """Nats, summed."""


L = TypeVar("L", bound=HasLikelihood)


def summarize(
    ids: Sequence[str], found: Sequence[L], whole: L, name: str, value: Callable[[L], float]
) -> dict[str, Any]:
    """Return the figure ``name`` per record and over all; None where there was no nucleotide to predict.

    Args:
        ids: of the records.
        found: their likelihoods.
        whole: the likelihood of all records together.
        name: key of the figure.
        value: likelihood -> the figure.
    """

    def figure(one: L) -> float | None:
        return value(one) if one.nucleotides else None

    return {
        "sequences": len(ids),
        "nucleotides": whole.nucleotides,
        name: figure(whole),
        "records": [
            {"id": record, "nucleotides": one.nucleotides, "log_likelihood": one.log_likelihood, name: figure(one)}
            for record, one in zip(ids, found, strict=True)
        ],
    }
