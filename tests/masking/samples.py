"""Sequences, strategies and random streams for the tests of this folder."""

from itertools import product

import numpy as np

from data_prep.corpus import Ragged
from pretrain.masking.settings import (
    BasePart,
    BaseSettings,
    KmerSettings,
    MixtureSettings,
    MotifDatabase,
    MotifPart,
    MotifSettings,
    SpanPart,
    SpanSettings,
    VariantFirstSettings,
)
from pretrain.rng import SampleRng, sample_keys


def random_rows(lengths, seed=0, letters=b"ACGU"):
    """Uniform random sequences as byte strings."""
    generator = np.random.default_rng(seed)
    alphabet = np.frombuffer(letters, np.uint8)
    return [alphabet[generator.integers(0, len(alphabet), length)].tobytes() for length in lengths]


def encode(tokenizer, rows):
    return tokenizer.encode(Ragged.from_rows(rows))


def streams(index, epoch=0, seed=7):
    """The random streams of samples ``index``."""
    index = np.asarray(index, np.int64)
    return SampleRng(sample_keys(seed, np.full(len(index), epoch, np.int64), index))


def write_motifs(folder):
    """Two lists: all 4-mers that begin with A or G and some longer words; few long words of DNA."""
    short, long = folder / "short.txt", folder / "long.txt"
    fours = ["".join(letters) for letters in product("AG", "ACGU", "ACGU", "ACGU")]
    short.write_text("\n".join([*fours, "ACGUACGU", "CCCAG"]) + "\n")
    long.write_text("# words of DNA\nGATTACA\nTTAGGGTTAGGG\n\n" + "ACGT" * 9 + "\n")
    return short, long


def every_strategy(folder):
    """(name, tokenizer name, settings) of each strategy and of its quirks."""
    short, long = map(str, write_motifs(folder))
    databases = [MotifDatabase(files=[short]), MotifDatabase(files=[long], weight=2.0)]
    return [
        ("base", "ernie_rna", BaseSettings()),
        ("base with specials", "ernie_rna", BaseSettings(specials_selectable=True, random_ids="vocabulary_from:4")),
        ("base ceil", "utr_lm", BaseSettings(count="ceil", mask_fraction=1.0, random_fraction=0.0, keep_fraction=0.0)),
        ("base bernoulli", "rnaernie2", BaseSettings(count="bernoulli", random_ids="vocabulary_from:0")),
        ("span", "rnaernie", SpanSettings()),
        ("span upstream", "rnaernie", SpanSettings(upstream_cut=True, shortfall="none")),
        ("motif", "rnaernie", MotifSettings(databases=databases)),
        ("motif in turn", "ernie_rna", MotifSettings(databases=databases, order="in_turn", shortfall="none")),
        ("motif literal", "rnaernie", MotifSettings(databases=databases, alphabet="literal")),
        ("kmer", "utrbert_6mer", KmerSettings()),
        ("kmer on letters", "ernie_rna", KmerSettings(k=3)),
        ("variant first", "mutbert", VariantFirstSettings()),
        (
            "mixture",
            "rnaernie",
            MixtureSettings(parts=[BasePart(count="round"), SpanPart(weight=2.0), MotifPart(databases=databases)]),
        ),
    ]
