"""Embeddings as points in a plane, one color and mark per label."""

from __future__ import annotations

from collections import Counter

from pretrain.evaluation.projection import Projection
from pretrain.reporting.picture import Picture, picture_of

_COLORS = ("#33658a", "#c2410c", "#1a7f37", "#8a4fa3", "#8a6a00", "#0f766e", "#b42318", "#444444")
_MARKS = "osD^vP*X"
_OTHERS = "others"


def picture_of_projection(found: Projection, ids: list[str], labels: list[str] | None) -> Picture:
    """Draw S points; the most frequent labels have a color and a mark of their own, the rest are ``others``."""
    from matplotlib.figure import Figure

    own = labels if labels is not None else [""] * len(ids)
    frequent = [label for label, _ in Counter(own).most_common(len(_COLORS) * 2)]
    if len(set(own)) > len(frequent):
        frequent = frequent[:-1]
    groups = [label if label in frequent else _OTHERS for label in own]
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    for number, label in enumerate(dict.fromkeys([*frequent, _OTHERS])):  # a label may be called so
        rows = [row for row, group in enumerate(groups) if group == label]
        if not rows:
            continue
        color = "#999999" if label == _OTHERS else _COLORS[number % len(_COLORS)]
        mark = _MARKS[(number + number // len(_COLORS)) % len(_MARKS)]
        x, y = found.points[rows].T
        axes.scatter(x, y, s=14, alpha=0.8, linewidths=0, color=color, marker=mark, label=f"{label} ({len(rows):,})")
    axes.set(xlabel=found.axes[0], ylabel=found.axes[1])
    axes.spines[["top", "right"]].set_visible(False)
    if labels is not None:
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    lines = [f"id\tlabel\t{found.method}_1\t{found.method}_2"]
    for name, label, (x, y) in zip(ids, own, found.points.tolist(), strict=True):
        lines.append(f"{name}\t{label}\t{x:.6g}\t{y:.6g}")
    return picture_of(figure, "\n".join(lines) + "\n")
