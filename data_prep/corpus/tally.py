"""Counts of what each filter kept and dropped, by reason: nothing leaves a corpus uncounted."""

from collections import Counter
from typing import Any


class Tally:
    """Counts by filter and reason, in the order in which filters were first named."""

    def __init__(self) -> None:
        self._kept: Counter[str] = Counter()
        self._dropped: dict[str, Counter[str]] = {}
        self._changed: dict[str, Counter[str]] = {}

    def keep(self, filter_name: str, count: int = 1) -> None:
        """Count `count` records that passed the filter."""
        self._dropped.setdefault(filter_name, Counter())
        self._kept[filter_name] += count

    def drop(self, filter_name: str, reason: str, count: int = 1) -> None:
        """Count `count` records that were dropped for `reason`; a count of 0 only declares the filter."""
        reasons = self._dropped.setdefault(filter_name, Counter())
        if count:
            reasons[reason] += count

    def change(self, filter_name: str, what: str, count: int = 1) -> None:
        """Count `count` records that were kept but altered."""
        self._changed.setdefault(filter_name, Counter())[what] += count

    def dropped(self) -> Counter[str]:
        """Return all dropped records by reason."""
        return sum(self._dropped.values(), Counter())

    def changed(self) -> Counter[str]:
        """Return all altered records by what was done."""
        return sum(self._changed.values(), Counter())

    def to_json(self) -> list[dict[str, Any]]:
        """Return the `filters` of a stage in the manifest."""
        filters = []
        for name, reasons in self._dropped.items():
            entry = {"filter": name, "kept": self._kept[name], "dropped": dict(sorted(reasons.items()))}
            if name in self._changed:
                entry["changed"] = dict(sorted(self._changed[name].items()))
            filters.append(entry)
        return filters
