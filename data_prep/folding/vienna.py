"""ViennaRNA: what a worker runs, and what identifies its results.

Default model (37 °C, dangles 2, lonely pairs allowed, Turner 2004): the one public label of the UTR-LM corpus is
reproduced exactly by it and by no variation of it that was tried. T is converted to U before folding, since ViennaRNA
pairs T like U but misses it in its table of special hairpin loops.
"""

from typing import Any, NamedTuple


class Fold(NamedTuple):
    """mfe_hundredths: minimum free energy in 0.01 kcal/mol (an exact number); structure: dot-bracket."""

    mfe_hundredths: int
    structure: str


def parameters() -> dict[str, Any]:
    """Program, version and model, as they enter manifests and cache keys."""
    import RNA

    model = RNA.md()
    return {
        "program": "ViennaRNA",
        "version": RNA.__version__,
        "temperature_celsius": model.temperature,
        "dangles": model.dangles,
        "lonely_pairs": not model.noLP,
        "energies": "rna_turner2004",
    }


def normalize(sequence: bytes) -> bytes:
    """Upper case, T to U: the text that is folded and hashed."""
    return sequence.upper().replace(b"T", b"U")


def is_foldable(sequence: bytes) -> bool:
    """ASCII letters only: ViennaRNA counts blanks and digits as bases and splits strands at '&', all in silence."""
    return sequence.isalpha()


def fold_chunk(sequences: list[bytes]) -> list[Fold]:
    """Fold normalized sequences (runs in a worker)."""
    import RNA

    folds = []
    for sequence in sequences:
        structure, energy = RNA.fold(sequence.decode())
        folds.append(Fold(round(energy * 100), structure))
    return folds
