"""Made-up RNAs with real grammar: stems whose letters pair, loops, planted motifs, several types.

Letters are close to uniform, so a unigram model learns nothing (its entropy is near ln 4); more than half of the
nucleotides sit in stems, where the partner tells the letter, and most loops carry a motif of their type.
"""

import random
from collections.abc import Callable

from data_prep.sample.parts import Piece
from data_prep.sample.types import (
    box_snorna,
    hairpin_array,
    mirna_precursor,
    multiloop_riboswitch,
    transfer_rna,
    utr_with_au_rich_elements,
)

# RNA type -> generator of one molecule
TYPES: dict[str, Callable[[random.Random], Piece]] = {
    "pre_miRNA": mirna_precursor,
    "tRNA": transfer_rna,
    "riboswitch": multiloop_riboswitch,
    "snoRNA": box_snorna,
    "UTR": utr_with_au_rich_elements,
    "hairpin_array": hairpin_array,
}

SHARE_WITH_N = 0.03  # of the molecules, as low-quality reads would have


def sample_molecule(seed: int, index: int) -> tuple[str, Piece]:
    """Molecule `index` of the sample `seed`: its type and its piece. A pure function of the two numbers."""
    # A text seed is hashed by `random`, so neighbouring indices share nothing; its draws are stable across versions.
    rng = random.Random(f"{seed}/{index}")
    name = rng.choice(list(TYPES))
    molecule = TYPES[name](rng)
    if rng.random() < SHARE_WITH_N:
        molecule = _with_unknown_letters(molecule, rng)
    return name, molecule


def _with_unknown_letters(molecule: Piece, rng: random.Random) -> Piece:
    """One to three unpaired letters become N (a paired N would contradict the structure)."""
    unpaired = [at for at, symbol in enumerate(molecule.structure) if symbol == "."]
    letters = list(molecule.sequence)
    for at in rng.sample(unpaired, min(len(unpaired), rng.randint(1, 3))):
        letters[at] = "N"
    return Piece("".join(letters), molecule.structure)
