"""Pictures of a corpus, as PNG files."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from data_prep.corpus import Corpus
from data_prep.inspection.variants import density_of, spectrum_of

POINTS = 20_000  # of a scatter plot
STRIPS = 40  # contigs that are shown
COLORS = ("#33658a", "#f26419")  # train, validation


def plots_of(corpus: Corpus) -> dict[str, bytes]:
    """PNG content by file name; which plots there are follows from the kind and the columns."""
    if corpus.kind == "genome":
        return {}
    if corpus.kind == "allele_frequencies":
        drawings = {"density.png": _density, "spectrum.png": _spectrum, "contigs.png": _contigs}
        return {name: _picture(draw, corpus) for name, draw in drawings.items()}
    if corpus.kind != "sequences":
        return {}
    plots = {"lengths.png": _picture(_lengths, corpus), "composition.png": _picture(_composition, corpus)}
    columns = corpus.manifest["columns"]
    if "rna_type" in columns:
        plots["types.png"] = _picture(_types, corpus)
    if "mfe_kcal_per_mol" in columns:
        plots["energies.png"] = _picture(_energies, corpus)
    return plots


def _picture(draw: Callable[[Any, Corpus], None], corpus: Corpus) -> bytes:
    # The figure is made without pyplot: no window system, no global state.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    with rc_context({"axes.titlesize": 11, "axes.spines.top": False, "axes.spines.right": False}):
        axes = figure.add_subplot()
    draw(axes, corpus)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150, metadata={"Software": None})
    return content.getvalue()


def _lengths(axes: Any, corpus: Corpus) -> None:
    lengths = {split: corpus.split(split).lengths for split in corpus.splits}
    longest = max(int(values.max(initial=1)) for values in lengths.values())
    bins = np.geomspace(1, longest + 1, 60) if longest > 5000 else np.linspace(0, longest + 1, 60)
    for (split, values), color in zip(lengths.items(), COLORS, strict=False):
        if len(values):
            share = np.full(len(values), 1 / len(values))
            axes.hist(values, bins, weights=share, histtype="step", color=color, label=f"{split} ({len(values):,})")
    if longest > 5000:
        axes.set_xscale("log")
    axes.set(xlabel="length (nt)", ylabel="share of sequences")
    axes.set_title("Lengths", loc="left")
    _legend(axes)


def _composition(axes: Any, corpus: Corpus) -> None:
    _bars(axes, corpus, "composition", "share of letters", "Composition")


def _types(axes: Any, corpus: Corpus) -> None:
    _bars(axes, corpus, "rna_type", "share of sequences", "RNA types")
    axes.tick_params(axis="x", rotation=45)
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right")


def _bars(axes: Any, corpus: Corpus, statistic: str, what: str, title: str) -> None:
    """One group of bars per letter or type, one bar per split."""
    counts = {split: corpus.manifest["splits"][split][statistic] for split in corpus.splits}
    names = list(dict.fromkeys(name for values in counts.values() for name in values))[:20]
    width = 0.8 / len(counts)
    for number, ((split, values), color) in enumerate(zip(counts.items(), COLORS, strict=False)):
        total = sum(values.values()) or 1
        shares = [values.get(name, 0) / total for name in names]
        axes.bar(np.arange(len(names)) + number * width, shares, width, label=split, color=color)
    axes.set_xticks(np.arange(len(names)) + 0.4 - width / 2, names)
    axes.set_ylabel(what)
    axes.set_title(title, loc="left")
    _legend(axes)


def _legend(axes: Any) -> None:
    axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))  # above the data


def _energies(axes: Any, corpus: Corpus) -> None:
    table = corpus.split("train")
    rows = np.unique(np.linspace(0, len(table) - 1, min(POINTS, len(table))).astype(np.int64))
    axes.plot(table.lengths[rows], table.mfe_kcal_per_mol(rows), ".", markersize=2, alpha=0.4, color=COLORS[0])
    axes.set(xlabel="length (nt)", ylabel="MFE (kcal/mol)", title=f"Minimum free energy ({len(rows):,} of train)")


def _contigs(axes: Any, corpus: Corpus) -> None:
    contigs = corpus.manifest["contigs"][:STRIPS]
    density = [1000 * contig["variants"] / max(1, contig["bases"]) for contig in contigs]
    axes.bar([contig["name"] for contig in contigs], density, color=COLORS[0])
    axes.tick_params(axis="x", rotation=90)
    axes.set(ylabel="variants per 1,000 bases", title="Variant density by contig")


def _density(axes: Any, corpus: Corpus) -> None:
    """Variants per 1,000 known bases along the contigs: a line for one, a strip of color for each of several."""
    found = density_of(corpus)[:STRIPS]
    megabases = found[0].width / 1e6
    if len(found) == 1:
        per_kb = 1000 * found[0].counts / np.maximum(1, found[0].known)
        axes.step((np.arange(len(per_kb)) + 0.5) * megabases, per_kb, where="mid", color=COLORS[0])
        axes.set(ylabel="variants per 1,000 bases", ylim=(0, None))
    else:
        strips = np.full((len(found), max(len(density.counts) for density in found)), np.nan)
        for row, density in enumerate(found):
            has = density.known > 0
            strips[row, : len(has)][has] = 1000 * density.counts[has] / density.known[has]
        right = strips.shape[1] * megabases
        image = axes.imshow(
            strips, aspect="auto", interpolation="none", cmap="viridis", extent=(0, right, len(found), 0)
        )
        axes.set_yticks(np.arange(len(found)) + 0.5, [density.contig for density in found], fontsize=7)
        axes.figure.colorbar(image, label="variants per 1,000 bases")
    axes.set_xlabel("position (Mb)")
    axes.set_title("Variants along the contigs", loc="left")


def _spectrum(axes: Any, corpus: Corpus) -> None:
    frequencies = spectrum_of(corpus)
    axes.hist(frequencies, np.linspace(0, 1, 51), color=COLORS[0])
    axes.set_yscale("log", nonpositive="clip")
    axes.set(xlabel="frequency of the alleles that are not the reference", ylabel="variants")
    axes.set_title(f"Frequency spectrum ({len(frequencies):,} variants)", loc="left")
