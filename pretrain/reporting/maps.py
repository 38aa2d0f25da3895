"""Square maps: attention of every head of a layer, and base pairs known against predicted."""

from __future__ import annotations

import numpy as np

from pretrain.evaluation.attention_maps import AttentionMap, table
from pretrain.evaluation.dotbracket import Pairs
from pretrain.reporting.picture import Picture, picture_of

LONGEST = 400  # tokens whose map is drawn
_LETTERS = 60  # up to so many tokens stand at the axes as letters
_KNOWN, _PREDICTED = "#33658a", "#c2410c"


def picture_of_attention(found: AttentionMap) -> Picture:
    """One panel per head, darker where a token (row) looks more at another (column)."""
    from matplotlib.figure import Figure

    heads, length, _ = found.weights.shape
    columns = min(4, heads)
    rows = -(-heads // columns)
    figure = Figure(figsize=(3.4 * columns, 3.6 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    top = float(np.quantile(found.weights, 0.995))  # single cells of weight 1 would leave all else white
    for head, axes in enumerate(panels):
        if head >= heads:
            axes.set_visible(False)
            continue
        image = axes.imshow(found.weights[head], cmap="Blues", vmin=0, vmax=top, interpolation="nearest")
        axes.set_title(f"head {head}", loc="left", fontsize=9)
        if length <= _LETTERS:
            words = [token if len(token) == 1 else token[:5] for token in found.tokens]
            axes.set_xticks(range(length), words, fontsize=5, rotation=90)
            axes.set_yticks(range(length), words, fontsize=5)
    bar = figure.colorbar(image, ax=panels.tolist(), fraction=0.02, pad=0.01)
    bar.set_label("attention of a row to a column")
    figure.suptitle(f"{found.name}: attention", x=0.01, ha="left", fontsize=10)
    return picture_of(figure, table(found))


def picture_of_pairs(name: str, sequence: str, known: Pairs, predicted: Pairs) -> Picture:
    """Known pairs below the diagonal, predicted ones above it; what both have lies mirrored. Axes count from 1."""
    from matplotlib.figure import Figure

    length = len(sequence)
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    axes = figure.add_subplot()
    size = max(4.0, min(60.0, (260 / length) ** 2))
    for pairs, color, label, above in (
        (known, _KNOWN, f"known ({len(known)})", False), (predicted, _PREDICTED, f"predicted ({len(predicted)})", True),
    ):  # fmt: skip
        first, second = 1 + np.array(sorted(pairs)).reshape(-1, 2).T
        x, y = (second, first) if above else (first, second)
        axes.scatter(x, y, s=size, marker="s", color=color, label=label)
    axes.plot([1, length], [1, length], color="#bbbbbb", linewidth=0.8)
    axes.set(xlim=(0.5, length + 0.5), ylim=(length + 0.5, 0.5), aspect="equal")
    if length <= _LETTERS:
        axes.set_xticks(range(1, length + 1), list(sequence), fontsize=6)
        axes.set_yticks(range(1, length + 1), list(sequence), fontsize=6)
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    axes.set_title(name, loc="right", fontsize=10)
    lines = ["pos_1\tpos_2\tletters\tknown\tpredicted"]
    for i, j in sorted(known | predicted):
        lines.append(
            f"{i + 1}\t{j + 1}\t{sequence[i]}{sequence[j]}\t{int((i, j) in known)}\t{int((i, j) in predicted)}"
        )
    return picture_of(figure, "\n".join(lines) + "\n")
