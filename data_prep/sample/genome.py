"""A made-up genome and its variants, with what is known of real ones.

Some two thirds are tandem repeats of a few families, each copy with mutations of its own (lower case, as repeat maskers
write them); what lies between is rich or poor in G and C for a stretch. Variants are mostly rare, mostly transitions,
and ten times as frequent at CpG sites.
"""

import random
from typing import NamedTuple

REPEATS = 2  # families of tandem repeats
REPEAT_BASES = (20, 30)
COPIES = (2, 5)  # one behind the other
DIVERGENCE = 0.06  # share of a copy's bases that were replaced
SPACER_BASES = (15, 45)
ISOCHORE_ARRAYS = 6  # arrays of repeats, with spacers, until the composition changes
GC_SHARES = (0.3, 0.6)
GAP_BASES = 150  # the run of N in the middle of a contig
CHROMOSOMES = 2000  # in the population; 1000 people
TRANSITION = {"A": "G", "G": "A", "C": "T", "T": "C"}


class Variant(NamedTuple):
    """A single-base substitution."""

    contig: str
    pos0: int
    reference: str
    alternative: str
    carriers: int  # chromosomes with the alternative


def sample_genome(seed: int, bases: int) -> tuple[dict[str, str], list[Variant]]:
    """Contigs chr1 (nine tenths of the bases) and chr2, and their variants in order. A pure function of its arguments.

    The families of repeats are the same for every seed.
    """
    families = random.Random("repeats")
    repeats = [_letters(families, families.randint(*REPEAT_BASES), 0.5) for _ in range(REPEATS)]
    rng = random.Random(f"genome/{seed}")
    contigs = {"chr1": _contig(rng, repeats, bases - bases // 10), "chr2": _contig(rng, repeats, bases // 10)}
    return contigs, [variant for name, text in contigs.items() for variant in _variants(rng, name, text.upper())]


def _contig(rng: random.Random, repeats: list[str], bases: int) -> str:
    pieces: list[str] = []
    length = 0
    while length < bases:
        if len(pieces) % (2 * ISOCHORE_ARRAYS) == 0:
            gc = rng.choice(GC_SHARES)
        array = rng.choice(repeats) * rng.randint(*COPIES)
        pieces += [_letters(rng, rng.randint(*SPACER_BASES), gc), _with_mutations(rng, array).lower()]
        length += len(pieces[-1]) + len(pieces[-2])
    text = "".join(pieces)[:bases]
    return text[: bases // 2] + "N" * GAP_BASES + text[bases // 2 :]


def _letters(rng: random.Random, count: int, gc: float) -> str:
    return "".join(rng.choices("ACGT", (1 - gc, gc, gc, 1 - gc), k=count))


def _with_mutations(rng: random.Random, repeat: str) -> str:
    return "".join(rng.choice("ACGT") if rng.random() < DIVERGENCE else letter for letter in repeat)


def _variants(rng: random.Random, contig: str, text: str) -> list[Variant]:
    found = []
    for at, letter in enumerate(text):
        at_cpg = text[at : at + 2] == "CG" or text[max(at - 1, 0) : at + 1] == "CG"
        if letter != "N" and rng.random() < (0.1 if at_cpg else 0.01):
            changed = TRANSITION[letter]
            if rng.random() > 2 / 3:
                changed = rng.choice([other for other in "ACGT" if other not in (letter, changed)])
            share = 0.005 * 100 ** rng.random()  # density 1/x between 0.5 % and 50 %, as under neutral drift
            found.append(Variant(contig, at, letter, changed, max(1, round(share * CHROMOSOMES))))
    return found


def fasta_text(contigs: dict[str, str]) -> str:
    """The genome as FASTA."""
    lines = []
    for name, text in contigs.items():
        lines += [f">{name}", *(text[at : at + 80] for at in range(0, len(text), 80))]
    return "\n".join(lines) + "\n"


def vcf_text(contigs: dict[str, str], variants: list[Variant]) -> str:
    """The variants as VCF without genotypes."""
    lines = ["##fileformat=VCFv4.2", *(f"##contig=<ID={name},length={len(text)}>" for name, text in contigs.items())]
    for key, number, kind, meaning in (
        ("AC", "A", "Integer", "Chromosomes with the alternative"),
        ("AF", "A", "Float", "Frequency of the alternative"),
        ("AN", "1", "Integer", "Chromosomes"),
    ):
        lines.append(f'##INFO=<ID={key},Number={number},Type={kind},Description="{meaning}">')
    lines.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    for contig, pos0, reference, alternative, carriers in variants:
        info = f"AC={carriers};AF={carriers / CHROMOSOMES:g};AN={CHROMOSOMES}"
        lines.append(f"{contig}\t{pos0 + 1}\t.\t{reference}\t{alternative}\t.\tPASS\t{info}")
    return "\n".join(lines) + "\n"
