"""Made-up RNAs with real grammar: stems whose letters pair, loops, planted motifs, several types.

Letters are close to uniform, so a unigram model learns nothing (its entropy is near ln 4). What there is to learn, from
easy to hard: half of the molecules belong to a family, relatives of one ancestor per type; most loops carry a motif of
their type; more than half of the nucleotides sit in stems, where the partner tells the letter.
"""

import random
from collections.abc import Callable
from functools import cache

from data_prep.sample.elements import RnaSegment
from data_prep.sample.homologues import homologue
from data_prep.sample.types import (
    box_snorna,
    hairpin_array,
    mirna_precursor,
    multiloop_riboswitch,
    transfer_rna,
    utr_with_au_rich_elements,
)

# RNA type -> generator of one molecule
TYPES: dict[str, Callable[[random.Random], RnaSegment]] = {
    "pre_miRNA": mirna_precursor,
    "tRNA": transfer_rna,
    "riboswitch": multiloop_riboswitch,
    "snoRNA": box_snorna,
    "UTR": utr_with_au_rich_elements,
    "hairpin_array": hairpin_array,
}

SHARE_IN_FAMILIES = 0.5  # of the molecules; the others are like no other
SHARE_WITH_N = 0.03  # of the molecules, as low-quality reads would have


def sample_molecule(seed: int, index: int) -> tuple[str, RnaSegment]:
    """Molecule `index` of the sample `seed`: its type and its piece. A pure function of the two numbers."""
    # A text seed is hashed by `random`, so neighbouring indices share nothing; its draws are stable across versions.
    rng = random.Random(f"{seed}/{index}")
    name = rng.choice(list(TYPES))
    if rng.random() < SHARE_IN_FAMILIES:
        molecule = homologue(ancestor(name), rng)
    else:
        molecule = TYPES[name](rng)
    if rng.random() < SHARE_WITH_N:
        molecule = _with_unknown_letters(molecule, rng)
    return name, molecule


@cache
def ancestor(name: str) -> RnaSegment:
    """The ancestor of the family of a type, the same in every sample; a long one, whose relatives hardly ever agree."""
    rng = random.Random(f"ancestor/{name}")
    return max((TYPES[name](rng) for _ in range(4)), key=lambda piece: len(piece.sequence))


def _with_unknown_letters(molecule: RnaSegment, rng: random.Random) -> RnaSegment:
    """One to three unpaired letters become N (a paired N would contradict the structure)."""
    unpaired = [at for at, symbol in enumerate(molecule.structure) if symbol == "."]
    letters = list(molecule.sequence)
    for at in rng.sample(unpaired, min(len(unpaired), rng.randint(1, 3))):
        letters[at] = "N"
    return RnaSegment("".join(letters), molecule.structure)
