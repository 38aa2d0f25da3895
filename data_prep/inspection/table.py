"""The numbers as a text table, one column per split."""

from typing import Any

TOP = 20  # letters or types that are shown


def rows_of(description: dict[str, Any]) -> list[list[str]]:
    """Header and rows of cells: what, then one cell per split."""
    splits = list(description["splits"])
    flat = {split: dict(_flatten(description["splits"][split])) for split in splits}
    names = dict.fromkeys(name for values in flat.values() for name in values)
    return [["", *splits], *([name, *(_show(flat[split].get(name)) for split in splits)] for name in names)]


def filters_of(description: dict[str, Any]) -> list[list[str]]:
    """Header and rows of cells: stage, filter, kept, dropped by reason."""
    rows = [["stage", "filter", "kept", "dropped"]]
    for stage in description["stages"]:
        for entry in stage["filters"]:
            reasons = {**entry["dropped"], **entry.get("changed", {})}
            dropped = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items()) or "none"
            rows.append([stage["stage"], entry["filter"], _show(entry["kept"]), dropped])
    return rows


def render(rows: list[list[str]]) -> str:
    """Cells in aligned columns, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        for cell, width in zip(row[1:], widths[1:], strict=True):
            cells.append(cell.rjust(width) if cell[:1].isdigit() or cell[:1] == "-" else cell.ljust(width))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _flatten(statistics: dict[str, Any]) -> list[tuple[str, Any]]:
    """(name, value) pairs; counts of letters and types also as shares."""
    flat: list[tuple[str, Any]] = []
    for name, value in statistics.items():
        if name in ("composition", "rna_type"):
            total = sum(value.values())
            shown = sorted(value.items(), key=lambda item: -item[1])[:TOP]
            flat += [(f"{name} {key}", f"{count:,} ({count / total:.1%})") for key, count in shown]
        elif isinstance(value, dict):
            flat += [(f"{name} {key}", inner) for key, inner in value.items()]
        elif isinstance(value, list):
            flat.append((name, len(value)))
        else:
            flat.append((name, value))
    return flat


def _show(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
