"""Variants of a corpus of allele frequencies: how many along each contig, and how frequent they are."""

from dataclasses import dataclass

import numpy as np

from data_prep.corpus import Corpus
from data_prep.corpus.bases import OTHER
from data_prep.corpus.genome import Store
from data_prep.runtime.console import progress

BINS = 200  # along the longest contig
BLOCK_BASES = 1 << 24  # of a contig that are read at once


@dataclass(frozen=True)
class Density:
    """One contig in bins of `width` bases: variants (counts) and bases that are A, C, G or T (known), both (B,)."""

    contig: str
    bases: int
    width: int
    counts: np.ndarray
    known: np.ndarray

    @property
    def variants(self) -> int:
        """All variants of the contig."""
        return int(self.counts.sum())


def density_of(corpus: Corpus) -> list[Density]:
    """The contigs in the order of the corpus, all in bins of one width."""
    contigs = corpus.manifest["contigs"]
    width = max(1, -(-max((contig["bases"] for contig in contigs), default=1) // BINS))
    found = []
    for contig in progress(contigs, description="variants along contigs", unit=" contigs"):
        store, bases = Store.open(corpus.folder / contig["folder"]), contig["bases"]
        bins = max(1, -(-bases // width))
        places = np.asarray(store.variants.pos0) // width if store.variants is not None else np.empty(0, np.int64)
        known = np.zeros(bins, np.int64)
        for start in range(0, bases, BLOCK_BASES):
            size = min(BLOCK_BASES, bases - start)
            codes = store.bases.read(np.array([start]), np.array([size]))
            known += np.bincount((np.flatnonzero(codes != OTHER) + start) // width, minlength=bins)
        found.append(Density(contig["name"], bases, width, np.bincount(places, minlength=bins), known))
    return found


def spectrum_of(corpus: Corpus) -> np.ndarray:
    """float32 (V,): the summed frequency of the alleles that are not the reference, at every variant."""
    found = [np.empty(0, np.float32)]
    for contig in corpus.manifest["contigs"]:
        store = Store.open(corpus.folder / contig["folder"])
        if store.variants is None or not len(store.variants.pos0):
            continue
        pos0 = np.asarray(store.variants.pos0, np.int64)
        reference = store.bases.read(pos0, np.ones(len(pos0), np.int64))
        rows = store.variants.frequencies[np.asarray(store.variants.row)]
        known = reference < OTHER
        found.append(1 - rows[known, reference[known]])
    return np.concatenate(found)
