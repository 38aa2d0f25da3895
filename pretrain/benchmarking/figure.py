"""One figure beside its peer's, in the form that ``data_prep/benchmarks/rows.py`` prints.

That module must not be imported from here; the launcher puts the two together.
"""

from __future__ import annotations

from typing import Any


def figure(stage: str, unit: str, ours: float, peer_name: str, peer: float | None, wanted: str) -> dict[str, Any]:
    """Return a row of the report: rates (or seconds) in ``unit``, their ratio, the target; peer None: there is none."""
    return {
        "stage": stage,
        "unit": unit,
        "ours": round(ours, 3),
        "peer_name": peer_name,
        "peer": None if peer is None else round(peer, 3),
        "ratio": None if peer is None else round(ours / peer, 3),
        "wanted": wanted,
        "skipped": "no peer" if peer is None else None,
    }
