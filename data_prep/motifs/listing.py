"""The motif list that the stage writes and motif masking reads."""

from collections.abc import Iterable
from itertools import groupby

from data_prep.corpus.tally import Tally
from data_prep.errors import shown
from data_prep.motifs.normalize import expand, spellings
from data_prep.motifs.read import SOURCE_LINE, RawMotif
from data_prep.runtime.console import warn


def normalized_motifs(
    raw: Iterable[RawMotif], tally: Tally, *, min_length: int, max_length: int | None, max_expansion: int
) -> dict[str, list[str]]:
    """Distinct motifs with the sources that have them, in the order of the sources' first motif.

    A matrix that is flat, and a motif that stands for more than `max_expansion` others, are left out and counted.
    """
    sources: dict[str, list[str]] = {}
    for entry in raw:
        count = spellings(entry) if entry.text else 0
        if count == 0 or count > max_expansion:
            tally.drop("written", "too_degenerate" if count else "flat_matrix")
            if count:
                warn(
                    f"{entry.place}: {shown(entry.text)} stands for {count:,} motifs, more than --max-expansion "
                    f"{max_expansion:,}; left out"
                )
            continue
        tally.keep("written")
        motifs = expand(entry)
        tally.change("written", "from_ambiguity_codes", len(motifs) - 1)
        for motif in motifs:
            if len(motif) < min_length or (max_length is not None and len(motif) > max_length):
                tally.drop("length", "too_short" if len(motif) < min_length else "too_long")
                continue
            tally.keep("length")
            known = sources.setdefault(motif, [])
            repeated = bool(known)
            if entry.source not in known:
                known.append(entry.source)
            if repeated:
                tally.drop("distinct", "same_motif")
            else:
                tally.keep("distinct")
    return sources


def list_text(motifs: dict[str, list[str]], comments: Iterable[str] = ()) -> str:
    """Motifs below the name of their source (`A+B` for those of both), by length, then by letters."""
    labeled = sorted(("+".join(names), len(motif), motif) for motif, names in motifs.items())
    lines = [f"# {comment}" for comment in comments]
    for label, group in groupby(labeled, key=lambda entry: entry[0]):
        lines.append(f"{SOURCE_LINE}{label}")
        lines += [motif for _, _, motif in group]
    return "\n".join(lines) + "\n"
