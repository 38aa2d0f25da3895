"""What molecules are made of: stems, loops, motifs, put together as text and dot-bracket at once."""

import random
from typing import NamedTuple

# 5' letter, 3' letter, weight: Watson-Crick pairs and some wobble pairs.
PAIRS = [("G", "C", 22), ("C", "G", 22), ("A", "U", 22), ("U", "A", 22), ("G", "U", 6), ("U", "G", 6)]
PAIR_LETTERS = [(five, three) for five, three, _ in PAIRS]
PAIR_WEIGHTS = [weight for _, _, weight in PAIRS]
# Loops make up for the G and U that wobble pairs add.
LOOP_LETTERS, LOOP_WEIGHTS = "ACGU", [30, 30, 20, 20]
CODES = {"R": "AG", "Y": "CU", "N": "ACGU", "W": "AU", "D": "AGU", "H": "ACU"}


class RnaSegment(NamedTuple):
    """A stretch of RNA: letters and dot-bracket of the same length."""

    sequence: str
    structure: str


def join(*pieces: RnaSegment) -> RnaSegment:
    """One piece behind the other."""
    return RnaSegment("".join(piece.sequence for piece in pieces), "".join(piece.structure for piece in pieces))


def loop(rng: random.Random, shortest: int, longest: int | None = None) -> RnaSegment:
    """Unpaired random letters, ``shortest`` of them or up to ``longest``."""
    count = rng.randint(shortest, shortest if longest is None else longest)
    return RnaSegment("".join(rng.choices(LOOP_LETTERS, LOOP_WEIGHTS, k=count)), "." * count)


def motif(rng: random.Random, pattern: str) -> RnaSegment:
    """An unpaired motif; ambiguity codes are drawn."""
    return RnaSegment("".join(rng.choice(CODES.get(code, code)) for code in pattern), "." * len(pattern))


def stem(rng: random.Random, pairs: int, inside: RnaSegment) -> RnaSegment:
    """A helix of that many base pairs around `inside`."""
    drawn = rng.choices(PAIR_LETTERS, PAIR_WEIGHTS, k=pairs)
    five = "".join(letters[0] for letters in drawn)
    three = "".join(letters[1] for letters in reversed(drawn))
    return RnaSegment(five + inside.sequence + three, "(" * pairs + inside.structure + ")" * pairs)
