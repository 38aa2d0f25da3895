"""Made-up RNAs with real grammar: stems whose letters pair, loops, short motifs, several types.

What there is to learn lies far apart. Letters are close to uniform, so a unigram model learns nothing (its entropy is
near ln 4); stems are drawn anew for every molecule and their halves are kept apart by loops, so the letters next to a
position tell nothing about it either, outside a few short motifs; no two molecules are relatives, so there is nothing
to copy. But more than half of the nucleotides sit in stems, where the partner tells the letter, and a type has its
partners at the same places.
"""

import random
from collections.abc import Callable

from data_prep.sample.elements import RnaSegment
from data_prep.sample.types import (
    antisense_duplex,
    box_snorna,
    mirna_precursor,
    multiloop_riboswitch,
    signal_recognition_particle,
    utr_with_regulatory_arm,
)

# RNA type -> generator of one molecule
TYPES: dict[str, Callable[[random.Random], RnaSegment]] = {
    "pre_miRNA": mirna_precursor,
    "SRP_RNA": signal_recognition_particle,
    "riboswitch": multiloop_riboswitch,
    "snoRNA": box_snorna,
    "UTR": utr_with_regulatory_arm,
    "antisense_duplex": antisense_duplex,
}

SHARE_WITH_N = 0.03  # of the molecules, as low-quality reads would have


def sample_molecule(seed: int, index: int) -> tuple[str, RnaSegment]:
    """Molecule `index` of the sample `seed`: its type and its piece. A pure function of the two numbers."""
    # A text seed is hashed by `random`, so neighboring indices share nothing; its draws are stable across versions.
    rng = random.Random(f"{seed}/{index}")
    name = rng.choice(list(TYPES))
    molecule = TYPES[name](rng)
    if rng.random() < SHARE_WITH_N:
        molecule = _with_unknown_letters(molecule, rng)
    return name, molecule


def _with_unknown_letters(molecule: RnaSegment, rng: random.Random) -> RnaSegment:
    """One to three unpaired letters become N (a paired N would contradict the structure)."""
    unpaired = [at for at, symbol in enumerate(molecule.structure) if symbol == "."]
    letters = list(molecule.sequence)
    for at in rng.sample(unpaired, min(len(unpaired), rng.randint(1, 3))):
        letters[at] = "N"
    return RnaSegment("".join(letters), molecule.structure)
