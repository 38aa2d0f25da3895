"""Findings about a corpus, in sentences: what a reader of the plots should see, and what no plot shows."""

import re
from collections.abc import Callable, Iterator

import numpy as np
from xxhash import xxh3_64_intdigest

from data_prep.corpus import Corpus
from data_prep.inspection.variants import Density, density_of, spectrum_of
from data_prep.runtime.console import progress

ENOUGH_ROWS = 100  # fewer sequences have no distribution to speak of
PILE_SHARE, PILE_FACTOR, NEIGHBORS = 0.01, 10, 10  # of sequences of one length; times the lengths around it
LOOKED_AT = 5_000  # sequences of a split that are searched for stretches of N
STRETCH_NT = 20
FEW = 0.001  # share of ambiguity codes that is not worth a sentence
MOST_KEYS = 5_000_000  # sequences whose repeats are looked for: 8 bytes each
BLOCK_ROWS = 50_000
HALF = 0.5
UNEVEN = 3.0  # times the median density of variants


def findings_of(corpus: Corpus) -> list[str]:
    """Return sentences, the gravest kinds first; if there is nothing to say, one that says so."""
    found = [sentence for find in FINDERS.get(corpus.kind, (_drops,)) for sentence in find(corpus)]
    return found or ["No unusual findings."]


def _empty_splits(corpus: Corpus) -> Iterator[str]:
    for name, split in corpus.manifest["splits"].items():
        if not split.get("sequences", split.get("bases")):
            yield f"The split {name} is empty: nothing can be judged by it."


def _repeats(corpus: Corpus) -> Iterator[str]:
    rows = {name: len(corpus.split(name)) for name in corpus.splits}
    if sum(rows.values()) > MOST_KEYS:
        yield f"Repeats and leakage were not checked: the corpus has more than {MOST_KEYS:,} sequences."
        return
    keys = {name: _keys(corpus, name) for name in corpus.splits}
    for name, values in keys.items():
        if again := len(values) - len(np.unique(values)):
            yield f"{_share(again, len(values))} of {name} are there more than once."
    shared = int(np.isin(keys.get("validation", []), keys["train"]).sum())
    if shared:
        whole = _share(shared, len(keys["validation"]))
        yield f"{whole} of validation also occur in train, letter by letter: scores on them measure memory."


def _keys(corpus: Corpus, split: str) -> np.ndarray:
    """uint64 (S,): the identity of each sequence."""
    table = corpus.split(split)
    keys = np.empty(len(table), np.uint64)
    for start in progress(range(0, len(table), BLOCK_ROWS), description=f"repeats in {split}", unit=" blocks"):
        rows = table.gather(np.arange(start, min(start + BLOCK_ROWS, len(table))))
        keys[start : start + len(rows)] = list(map(xxh3_64_intdigest, rows.slices()))
    return keys


def _pile_ups(corpus: Corpus) -> Iterator[str]:
    for name in corpus.splits:
        lengths = corpus.split(name).lengths
        if len(lengths) < ENOUGH_ROWS:
            continue
        counts = np.bincount(lengths)
        longest = len(counts) - 1
        if counts[longest] == len(lengths):
            yield f"All sequences of {name} have {longest:,} nt."
            continue
        for length in np.argsort(-counts)[:3].tolist():
            around = np.delete(counts[max(0, length - NEIGHBORS) : length + NEIGHBORS + 1], min(length, NEIGHBORS))
            usual = max(1.0, float(np.median(around)))
            if counts[length] >= PILE_SHARE * len(lengths) and counts[length] >= PILE_FACTOR * usual:
                why = "they were cropped or cut there" if length == longest else "one family, or a designed length"
                yield (
                    f"{_share(int(counts[length]), len(lengths))} of {name} have exactly {length:,} nt, "
                    f"{counts[length] / usual:,.0f} times as many as lengths close by: {why}."
                )


def _types(corpus: Corpus) -> Iterator[str]:
    if "rna_type" not in corpus.manifest["columns"]:
        return
    for name, split in corpus.manifest["splits"].items():
        counts, rows = _type_counts(corpus, name), split["sequences"]
        typed = sum(counts.values())
        if rows - typed:
            yield f"{_share(rows - typed, rows)} of {name} have no RNA type."
        if len(counts) > 1:
            most = max(counts, key=lambda kind: counts[kind])
            if counts[most] > HALF * typed:
                yield f"{most} is {counts[most] / typed:.0%} of the sequences of {name} that have a type."
    train, validation = (
        corpus.manifest["splits"].get(name, {}).get("rna_type", {}) for name in ("train", "validation")
    )
    if unknown := sorted(validation.keys() - train.keys()):
        yield f"Types of validation that train does not have: {', '.join(unknown[:5])}."


def _type_counts(corpus: Corpus, split: str) -> dict[str, int]:
    counts = corpus.manifest["splits"].get(split, {}).get("rna_type", {})
    return {kind: count for kind, count in counts.items() if kind != "(none)"}


def _letters(corpus: Corpus) -> Iterator[str]:
    for name, split in corpus.manifest["splits"].items():
        counts = split.get("composition", {})
        total = sum(counts.values())
        others = total - sum(counts.get(letter, 0) for letter in "ACGUTacgut")
        if not total:
            continue
        most = max(counts, key=lambda letter: counts[letter])
        if counts[most] > HALF * total:
            yield f"{most} is {counts[most] / total:.0%} of the letters of {name}."
        if not others:
            continue
        table = corpus.split(name)
        rows = np.unique(np.linspace(0, len(table) - 1, min(LOOKED_AT, len(table))).astype(np.int64))
        longest = [_longest_stretch(row) for row in table.gather(rows).rows()]
        with_stretch = sum(stretch >= STRETCH_NT for stretch in longest)
        if others < FEW * total and not with_stretch:
            continue
        yield (
            f"{others / total:.1%} of the letters of {name} are N or other ambiguity codes; of {len(rows):,} sequences "
            f"looked at, {with_stretch:,} hold a stretch of {STRETCH_NT} or more N (the longest has {max(longest):,})."
        )


def _longest_stretch(sequence: bytes) -> int:
    return max((len(stretch) for stretch in re.findall(rb"[Nn]+", sequence)), default=0)


def _drops(corpus: Corpus) -> Iterator[str]:
    for stage in corpus.manifest["stages"]:
        for entry in stage.get("filters", []):
            dropped = sum(entry["dropped"].values())
            if dropped > HALF * (dropped + entry["kept"]):
                reason = max(entry["dropped"], key=lambda name: entry["dropped"][name])
                share = dropped / (dropped + entry["kept"])
                yield f"The filter {entry['filter']} of {stage['stage']} dropped {share:.0%}, most as {reason}."


def _uneven_density(corpus: Corpus) -> Iterator[str]:
    found = density_of(corpus)
    silent = [density.contig for density in found if not density.variants]
    if silent:
        yield f"No variant lies on {len(silent)} of {len(found)} contigs: {', '.join(silent[:5])}."
    per_base = {density.contig: density.variants / density.bases for density in found if density.variants}
    usual = float(np.median(list(per_base.values()))) if per_base else 0.0
    for contig, value in per_base.items():
        if not usual / UNEVEN <= value <= usual * UNEVEN:
            yield f"{contig} has {1000 * value:.2g} variants per 1,000 bases; the median contig has {1000 * usual:.2g}."
    yield from filter(None, map(_gap, found))


def _gap(density: Density) -> str:
    """The longest part of a contig with known bases and without variants, if it is long."""
    empty = (density.counts == 0) & (density.known > 0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], empty, [False]]).astype(np.int8)))
    if not density.variants or not len(edges):
        return ""
    lengths = edges[1::2] - edges[::2]
    longest = int(lengths.argmax())
    expected = density.variants * int(lengths[longest]) / max(1, int((density.known > 0).sum()))
    if expected < 10:  # so many would be there by chance alone
        return ""
    first, last = edges[2 * longest] * density.width, min(edges[2 * longest + 1] * density.width, density.bases)
    return (
        f"{density.contig} has no variant from {first + 1:,} to {last:,}, where about {expected:,.0f} would be usual."
    )


def _spectrum(corpus: Corpus) -> Iterator[str]:
    frequencies = spectrum_of(corpus)
    if not len(frequencies):
        return
    yield (
        f"Of {len(frequencies):,} variants, {np.mean(frequencies < 0.05):.0%} have a frequency below 5 %; at "
        f"{np.mean(frequencies > HALF):.0%} the reference is the rarer allele. The rarest has {frequencies.min():.2g}."
    )


def _share(count: int, of: int) -> str:
    return f"{count:,} of {of:,} sequences ({count / of:.1%})"


# corpus kind -> what is looked for
FINDERS: dict[str, tuple[Callable[[Corpus], Iterator[str]], ...]] = {
    "sequences": (_empty_splits, _repeats, _pile_ups, _types, _letters, _drops),
    "allele_frequencies": (_empty_splits, _uneven_density, _spectrum, _drops),
}
