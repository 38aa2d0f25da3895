"""One generator per RNA type. Architectures follow textbook outlines; every sequence is drawn.

The first CORE letters of a molecule fold around their middle: letter i pairs with letter CORE - 1 - i or with none.
Where stems begin and end, internal loops, motifs and the tail differ from type to type, and the arms of a riboswitch
have places of their own. So letters are drawn anew and places stay, as in an alignment of a family of which only the
fold is conserved.
"""

import random

from data_prep.sample.elements import RnaSegment, join, loop, motif, stem

CORE = 80  # letters in front of the tail


def mirna_precursor(rng: random.Random) -> RnaSegment:
    """One long hairpin with two internal loops, a UGUG in the apical loop, a CNNC behind it (84-94 nt)."""
    apical = join(loop(rng, 4), motif(rng, "UGUG"), loop(rng, 8))
    middle = stem(rng, 9, join(loop(rng, 1), stem(rng, 9, apical), loop(rng, 1)))
    lower = stem(rng, 9, join(loop(rng, 1), middle, loop(rng, 1)))
    return join(loop(rng, 3), lower, loop(rng, 3), motif(rng, "CNNC"), loop(rng, 0, 10))


def signal_recognition_particle(rng: random.Random) -> RnaSegment:
    """A rod with internal loops and a GNRA in the apical loop (82-88 nt)."""
    upper = stem(rng, 6, join(loop(rng, 3), motif(rng, "GNRA"), loop(rng, 5)))
    middle = stem(rng, 10, join(loop(rng, 3), upper, loop(rng, 3)))
    lower = stem(rng, 12, join(loop(rng, 2), middle, loop(rng, 2)))
    return join(loop(rng, 1), lower, loop(rng, 1), loop(rng, 2, 8))


def multiloop_riboswitch(rng: random.Random) -> RnaSegment:
    """A closing stem around two arms and a conserved core, a tail of U (87-97 nt)."""
    arms = join(stem(rng, 7, loop(rng, 8)), motif(rng, "AGGAC"), stem(rng, 7, loop(rng, 7)))
    return join(loop(rng, 2), stem(rng, 14, arms), loop(rng, 2), loop(rng, 3, 13), motif(rng, "UUUU"))


def box_snorna(rng: random.Random) -> RnaSegment:
    """Boxes C and D brought together by a terminal stem, a guide duplex behind them (83-95 nt)."""
    guide = stem(rng, 13, loop(rng, 18))
    boxes = join(motif(rng, "UGAUGA"), guide, loop(rng, 2), motif(rng, "CUGA"))
    return join(loop(rng, 2), stem(rng, 10, boxes), loop(rng, 2), loop(rng, 3, 15))


def utr_with_regulatory_arm(rng: random.Random) -> RnaSegment:
    """A duplex around an arm that shows an AU-rich element, a polyadenylation signal behind them (92-100 nt)."""
    arm = stem(rng, 10, join(loop(rng, 3), motif(rng, "AUUUA"), loop(rng, 4)))
    duplex = stem(rng, 16, join(loop(rng, 4), arm, loop(rng, 4)))
    return join(loop(rng, 4), duplex, loop(rng, 4), motif(rng, "AAUAAA"), loop(rng, 6, 14))


def antisense_duplex(rng: random.Random) -> RnaSegment:
    """Two halves of one duplex, joined by a wide loop (80-90 nt)."""
    return join(loop(rng, 2), stem(rng, 26, loop(rng, 24)), loop(rng, 2), loop(rng, 0, 10))
