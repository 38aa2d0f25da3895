"""Two sides of a comparison, measured in turn."""

import os
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any


def cpu_seconds() -> float:
    """Of this process and of the children it waited for."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def in_turn(
    sides: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[], float] = cpu_seconds
) -> dict[str, float]:
    """Median seconds of each side over `rounds` rounds, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            start = clock()
            side()
            if number:
                seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def row(stage: str, unit: str, ours: float, peer_name: str, peer: float | None, wanted: str) -> dict[str, Any]:
    """Return a line of the report: rates (or seconds) in `unit`, their ratio, and what is wanted.

    peer None: the peer is not installed, or with an empty name there is none.
    """
    return {
        "stage": stage,
        "unit": unit,
        "ours": round(ours, 3),
        "peer_name": peer_name,
        "peer": None if peer is None else round(peer, 3),
        "ratio": None if peer is None else round(ours / peer, 3),
        "wanted": wanted,
        "skipped": None if peer is not None else f"{peer_name} is not installed" if peer_name else "no peer",
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows for people."""
    lines = [f"{'stage':22} {'unit':16} {'ours':>12} {'peer':>12} {'ratio':>7}  peer; wanted"]
    for entry in rows:
        peer = "skipped" if entry["peer"] is None else f"{entry['peer']:,.2f}"
        ratio = "" if entry["ratio"] is None else f"{entry['ratio']:.2f}"
        lines.append(
            f"{entry['stage']:22} {entry['unit']:16} {entry['ours']:>12,.2f} {peer:>12} {ratio:>7}  "
            f"{entry['skipped'] or entry['peer_name']}; {entry['wanted']}"
        )
    return "\n".join(lines)


def hardware() -> dict[str, Any]:
    """Processor, cores, date: a figure without them says nothing."""
    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0))
    return {"processor": names[0] if names else "unknown", "cores": cores, "date": time.strftime("%Y-%m-%d")}
