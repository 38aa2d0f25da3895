"""Pictures of an in-silico mutagenesis: a logo of what the model is sure of, above a heat map of all substitutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from pretrain.evaluation.mutagenesis import Mutagenesis, table
from pretrain.reporting.picture import Picture, picture_of

PER_ROW = 80  # nucleotides
LONGEST = 2000  # nucleotides that are drawn; longer sequences have their table alone
_COLORS = {"A": "#1a7f37", "C": "#33658a", "G": "#8a6a00", "T": "#b42318", "U": "#b42318"}


def picture_of_mutagenesis(found: Mutagenesis) -> Picture:
    """Rows of 80 nucleotides, each a logo and a heat map; the numbers are those of its table."""
    from matplotlib.figure import Figure

    length = len(found.sequence)
    rows = -(-length // PER_ROW)
    figure = Figure(figsize=(14, 0.6 + 1.9 * rows), layout="constrained")
    panels = figure.subplots(2 * rows, 1, squeeze=False, height_ratios=[1, 1] * rows)[:, 0]
    reach = float(np.nanmax(np.abs(found.scores), initial=0.0)) or 1.0
    tallest = float(np.nanmax(found.saliency, initial=0.0)) or 1.0
    image: Any = None
    for row in range(rows):
        first = row * PER_ROW
        _logo(panels[2 * row], found, first, tallest)
        image = _heat_map(panels[2 * row + 1], found, first, reach)
    bar = figure.colorbar(image, ax=panels.tolist(), fraction=0.02, pad=0.01)
    bar.set_label("log P(new letter)\n− log P(letter), nats", fontsize=9)
    figure.suptitle(
        f"{found.name}: at the top, how much substitutions of each letter lower the score; below, each "
        "substitution (· is the letter itself)",
        x=0.01, ha="left", fontsize=10,
    )  # fmt: skip
    return picture_of(figure, table([found]))


def _logo(axes: Any, found: Mutagenesis, first: int, tallest: float) -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    font = FontProperties(family="DejaVu Sans", weight="bold")
    saliency = found.saliency[first : first + PER_ROW]
    for place, (letter, height) in enumerate(zip(found.sequence[first : first + PER_ROW], saliency, strict=True)):
        if not height > 0:  # the model would rather have another letter, or nothing is known
            continue
        path = TextPath((0, 0), letter, size=1, prop=font)
        box = path.get_extents()
        fit = Affine2D().translate(-box.x0, -box.y0).scale(0.9 / box.width, float(height) / box.height)
        shape = path.transformed(fit.translate(place - 0.45, 0))
        axes.add_patch(PathPatch(shape, facecolor=_COLORS.get(letter, "#666666"), linewidth=0))
    axes.set(xlim=(-0.5, PER_ROW - 0.5), ylim=(0, tallest * 1.05), xticks=[], ylabel="nats")
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _heat_map(axes: Any, found: Mutagenesis, first: int, reach: float) -> Any:
    scores = found.scores[first : first + PER_ROW].T
    letters = found.sequence[first : first + PER_ROW]
    image = axes.imshow(scores, cmap="PuOr", vmin=-reach, vmax=reach, aspect="auto")
    for place, letter in enumerate(letters):
        if letter in found.letters:
            axes.text(place, found.letters.index(letter), "·", ha="center", va="center", fontsize=8)
    axes.set_xlim(-0.5, PER_ROW - 0.5)
    axes.set_yticks(range(4), list(found.letters))
    ticks = [place for place in range(len(letters)) if (first + place + 1) % 10 == 0 or place == 0]
    axes.set_xticks(ticks, [str(first + place + 1) for place in ticks])
    axes.spines[["top", "right"]].set_visible(False)
    return image
