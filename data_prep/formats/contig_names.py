"""Contig names of different files: `chr1` and `1`, `chrM` and `MT`."""

from collections.abc import Iterable

HUMAN = frozenset([*map(str, range(1, 23)), "X", "Y", "M"])


def bare_name(name: str) -> str:
    """The name without `chr`, and `M` for the mitochondrion, so that UCSC and Ensembl names compare equal."""
    short = name[3:] if name[:3].lower() == "chr" else name
    return "M" if short == "MT" else short


def parse_contigs(text: str) -> frozenset[str] | None:
    """`human` (1-22, X, Y, M), `all` (None: no filter) or a comma-separated list, as bare names."""
    if text == "all":
        return None
    return HUMAN if text == "human" else frozenset(bare_name(name.strip()) for name in text.split(",") if name.strip())


def missing_contigs_message(annotation: str, genome: str, missing: Iterable[str], names: list[str]) -> str:
    """One line: what is missing, what the FASTA calls its contigs, and whether only `chr` differs."""
    absent = sorted(missing)
    bare = {bare_name(name) for name in names}
    matching = [name for name in absent if bare_name(name) in bare]
    shown = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
    message = (
        f"{annotation}: {len(absent)} contig(s) missing in {genome}: {shown}; the FASTA begins with "
        f"{', '.join(names[:5])}"
    )
    if matching:
        verb = "removing" if matching[0][:3].lower() == "chr" else "adding"
        return f"{message}; {verb} 'chr' in the annotation would match {len(matching)} of them: give --match-chr"
    return f"{message}; take genome and annotation of one release, or give --on-missing-contig skip or --contigs"
