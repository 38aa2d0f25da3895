"""Relatives of fixed ancestors: what makes families out of single molecules."""

import random

from data_prep.sample.elements import LOOP_LETTERS, LOOP_WEIGHTS, PAIR_LETTERS, PAIR_WEIGHTS, RnaSegment

IDENTITY = 0.85  # chance that a loop letter, or a base pair, stays as it was in the ancestor


def homologue(ancestor: RnaSegment, rng: random.Random) -> RnaSegment:
    """A relative with the structure of its ancestor: loop letters and whole base pairs are redrawn."""
    letters = list(ancestor.sequence)
    open_at: list[int] = []
    for at, symbol in enumerate(ancestor.structure):
        if symbol == "(":
            open_at.append(at)
            continue
        five = open_at.pop() if symbol == ")" else None
        if rng.random() < IDENTITY:
            continue
        if five is None:
            letters[at] = rng.choices(LOOP_LETTERS, LOOP_WEIGHTS)[0]
        else:
            letters[five], letters[at] = rng.choices(PAIR_LETTERS, PAIR_WEIGHTS)[0]
    return RnaSegment("".join(letters), ancestor.structure)
