"""One generator per RNA type. Architectures follow textbook outlines; every sequence is drawn."""

import random

from data_prep.sample.elements import RnaSegment, join, loop, motif, stem


def mirna_precursor(rng: random.Random) -> RnaSegment:
    """One long hairpin with a few mismatches, a UGUG at the loop, a CNNC behind the stem (40-85 nt)."""
    hairpin = stem(rng, rng.randint(6, 9), join(motif(rng, "UGUG"), loop(rng, 4, 8)))
    for _ in range(rng.randint(1, 2)):
        hairpin = stem(rng, rng.randint(6, 9), join(loop(rng, 1, 2), hairpin, loop(rng, 1, 2)))
    return join(loop(rng, 2, 5), hairpin, motif(rng, "CNNC"), loop(rng, 0, 3))


def transfer_rna(rng: random.Random) -> RnaSegment:
    """Cloverleaf: acceptor stem, D, anticodon and T arms, CCA end (75-77 nt)."""
    d_arm = stem(rng, 4, motif(rng, rng.choice(["AGUUGGGA", "AGCUGGUA"])))
    anticodon_arm = stem(rng, 5, motif(rng, "CUNNNAA"))
    t_arm = stem(rng, 5, motif(rng, "UUCGAAU"))
    arms = join(motif(rng, "UA"), d_arm, motif(rng, "A"), anticodon_arm, loop(rng, 4, 6), t_arm)
    return join(stem(rng, 7, arms), motif(rng, "NCCA"))


def multiloop_riboswitch(rng: random.Random) -> RnaSegment:
    """Closing stem, a junction with a conserved core, two or three hairpins, a terminator with U run (95-155 nt)."""
    core = [motif(rng, "UAUAAUC"), motif(rng, "CUAAUAG"), motif(rng, "AGGAC"), motif(rng, "CCGAAA")]
    arms = [stem(rng, rng.randint(6, 9), loop(rng, 5, 8)) for _ in range(rng.randint(2, 3))]
    inside = core[0]
    for arm, linker in zip(arms, core[1:], strict=False):
        inside = join(inside, arm, linker)
    switch = stem(rng, rng.randint(7, 10), inside)
    terminator = stem(rng, rng.randint(7, 9), motif(rng, "GNRA"))
    return join(loop(rng, 0, 4), switch, loop(rng, 3, 6), terminator, motif(rng, "UUUUUU"))


def box_snorna(rng: random.Random) -> RnaSegment:
    """Boxes C, D', C', D around guide hairpins, closed by a terminal stem (70-105 nt)."""
    first = stem(rng, rng.randint(7, 10), loop(rng, 4, 7))
    second = stem(rng, rng.randint(7, 10), loop(rng, 4, 7))
    middle = join(motif(rng, "CUGA"), loop(rng, 2, 4), motif(rng, "UGAUGA"))
    inside = join(motif(rng, "RUGAUGA"), first, middle, second, motif(rng, "CUGA"))
    return join(loop(rng, 1, 3), stem(rng, rng.randint(6, 9), inside), loop(rng, 1, 3))


def utr_with_au_rich_elements(rng: random.Random) -> RnaSegment:
    """Hairpins between AU-rich elements, at the end a polyadenylation signal and some of the tail (75-170 nt)."""
    parts = [loop(rng, 4, 8)]
    for _ in range(rng.randint(2, 4)):
        parts += [stem(rng, rng.randint(8, 12), loop(rng, 4, 6)), motif(rng, rng.choice(["UAUUUAU", "AUUUA"]))]
    return join(*parts, loop(rng, 2, 6), motif(rng, "AAUAAA"), loop(rng, 4, 8), motif(rng, "AAAAAA"))


def hairpin_array(rng: random.Random) -> RnaSegment:
    """Hairpins in a row, each with a stable tetraloop (40-190 nt)."""
    parts = [loop(rng, 1, 4)]
    for _ in range(rng.randint(2, 6)):
        parts += [stem(rng, rng.randint(8, 12), motif(rng, rng.choice(["GNRA", "UUCG", "CUYG"]))), loop(rng, 1, 4)]
    return join(*parts)
