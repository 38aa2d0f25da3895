"""A picture in three forms: PNG to look at, SVG to print, and the numbers in it as tab-separated text."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from data_prep.corpus.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150


class Picture(NamedTuple):
    """One drawing. numbers: what it shows, header line first."""

    png: bytes
    svg: bytes
    numbers: str

    def write(self, folder: Path, stem: str) -> list[Path]:
        """``STEM.png``, ``STEM.svg`` and ``STEM.tsv`` in a folder that exists."""
        files = {".png": self.png, ".svg": self.svg, ".tsv": self.numbers.encode()}
        for suffix, content in files.items():
            write_atomic(folder / f"{stem}{suffix}", content)
        return [folder / f"{stem}{suffix}" for suffix in files]


def curve_axes() -> Any:
    """Axes for curves, of a figure so small that its text can be read on a phone."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"axes.titlesize": 11, "axes.spines.top": False, "axes.spines.right": False}):
        axes = Figure(figsize=(6, 3.4), layout="constrained").add_subplot()
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    return axes


def picture_of(figure: Figure, numbers: str | None = None) -> Picture:
    """A drawn figure; the same figure gives the same bytes.

    Args:
        figure: made without pyplot: no window system, no global state.
        numbers: what it shows; None: the lines of its axes.
    """
    from matplotlib import rc_context

    png, svg = io.BytesIO(), io.StringIO()
    figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    with rc_context({"svg.hashsalt": "polymerase", "svg.fonttype": "none"}):
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(png.getvalue(), svg.getvalue().encode(), line_numbers(figure) if numbers is None else numbers)


def line_numbers(figure: Figure) -> str:
    """Every point of every line: series, x, y; of a level line its height alone."""
    lines = ["series\tx\ty"]
    for axes in figure.axes:
        title = axes.get_title(loc="left")
        for line in axes.get_lines():
            label = str(line.get_label())
            name = f"{title}: {label}" if not label.startswith("_") else title
            if line.get_transform() != axes.transData:  # across the whole frame, whatever stands below it
                lines.append(f"{name}\t\t{_short(np.asarray(line.get_ydata())[0])}")
                continue
            lines += [f"{name}\t{_short(x)}\t{_short(y)}" for x, y in np.asarray(line.get_xydata()).tolist()]
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    return f"{float(value):.8g}"


def file_stems(names: list[str]) -> list[str]:
    """Names of records as names of files: nothing but letters, digits, ``._-``, none twice."""
    found: dict[str, None] = {}
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:80] or "record"
        number, free = 1, stem
        while free in found:
            number += 1
            free = f"{stem}-{number}"
        found[free] = None
    return list(found)
