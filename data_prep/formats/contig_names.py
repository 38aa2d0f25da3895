"""Contig names of different files: `chr1` and `1`, `chrM` and `MT`, `NC_000001.11`.

The exact name always comes first; another name counts only where it was asked for (`--match-chr`, `--contig-aliases`),
and only if it means one contig.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from data_prep.errors import DataPrepError, shown_name
from data_prep.runtime.console import warn

HUMAN = frozenset([*map(str, range(1, 23)), "X", "Y", "M"])


def bare_name(name: str) -> str:
    """The name without `chr`, and `M` for the mitochondrion, so that UCSC and Ensembl names compare equal."""
    short = name[3:] if name[:3].lower() == "chr" else name
    return "M" if short == "MT" else short


@dataclass(frozen=True)
class ContigNames:
    """Which contig of a genome a name in another file means.

    genome: names of the contigs; place: how a message calls them ("the contigs of FILE").
    match_chr: `1` is `chr1`, `MT` is `chrM`.
    aliases: name -> all names of that contig, itself included (`data_prep.formats.contig_aliases`).
    """

    genome: Sequence[str]
    place: str
    match_chr: bool = False
    aliases: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def find(self, name: str) -> str | None:
        """The name in the genome, None if it has none; DataPrepError where it could be several."""
        if name in self._exact:
            return name
        for found in (self.aliases.get(name, frozenset()) & self._exact, self._bare_matches(name)):
            if len(found) > 1:
                both = " and ".join(map(shown_name, sorted(found)))
                raise DataPrepError(
                    f"contig {shown_name(name)} could be {both} among {self.place}; name exactly the one that is meant"
                )
            if found:
                return next(iter(found))
        return None

    def needs_alias(self, name: str) -> bool:
        """Whether `find` knows this name through `aliases` only."""
        return name not in self._exact and bool(self.aliases.get(name, frozenset()) & self._exact)

    def _bare_matches(self, name: str) -> frozenset[str]:
        return self._bare.get(bare_name(name), frozenset()) if self.match_chr else frozenset()

    @cached_property
    def _exact(self) -> frozenset[str]:
        return frozenset(self.genome)

    @cached_property
    def _bare(self) -> dict[str, frozenset[str]]:
        groups: dict[str, set[str]] = {}
        for name in self.genome:
            groups.setdefault(bare_name(name), set()).add(name)
        return {bare: frozenset(names) for bare, names in groups.items()}


class NamesInTurn:
    """Which names of a VCF mean a contig, for contigs of a genome that are read one after the other.

    `chr1` is `1`, `chrM` is `MT`; a contig of exactly that name comes first.
    """

    def __init__(self, names: Iterable[str], genome: str):
        self._genome = genome
        self._found: dict[str, str] = {}  # name -> contig
        self._by_bare: dict[str, list[str]] = {}
        for name in dict.fromkeys(names):
            self._by_bare.setdefault(bare_name(name), []).append(name)

    def means_any(self, contig: str) -> bool:
        """Whether some name may mean this contig."""
        return bare_name(contig) in self._by_bare

    def of(self, contig: str) -> list[str]:
        """The names that mean this contig; DataPrepError where one could mean a contig met before, too."""
        meant = []
        for name in self._by_bare.get(bare_name(contig), ()):
            before = self._found.get(name)
            if before == name:
                continue
            if before is not None:
                both = f"{shown_name(before)} and {shown_name(contig)}"
                raise DataPrepError(
                    f"{self._genome}: contig {shown_name(name)} of the VCF could be {both}; leave one of them out"
                )
            self._found[name] = contig
            meant.append(name)
        return meant

    @property
    def missing(self) -> list[str]:
        """Names that mean none of the contigs so far."""
        return [name for names in self._by_bare.values() for name in names if name not in self._found]


def listed_contigs(option: str, text: str, names: ContigNames) -> list[str]:
    """The contigs of a comma-separated list as the genome calls them; DataPrepError for one that it lacks."""
    found = []
    for name in filter(None, map(str.strip, text.split(","))):
        contig = names.find(name)
        if contig is None:
            raise DataPrepError(
                f"{option}: {shown_name(name)} is not among {names.place} ({some_names(names.genome)}); "
                "give names that are"
            )
        found.append(contig)
    return found


def warn_if_idle(table: str | None, used: bool) -> None:
    """A warning where a table of aliases was given that none of the names that were looked up needed."""
    if table and not used:
        warn(
            f"{table}: no contig was found through this table; every name that fits does so without it (is it the "
            "table of these files?)"
        )


def contigs_of_each(
    option: str, text: str, genomes: Sequence[tuple[str, Sequence[str]]]
) -> list[Callable[[str], bool]]:
    """Whether a contig of each genome (file, names of its contigs) is in the list: `all`, `human` or names with commas.

    Raises:
        DataPrepError: A listed name is in no genome, or could be several contigs of one.
    """
    if text == "all":
        return [lambda name: True] * len(genomes)
    if text == "human":
        return [lambda name: bare_name(name) in HUMAN] * len(genomes)
    each = [ContigNames(names, f"the contigs of {file}", True) for file, names in genomes]
    found: list[set[str]] = [set() for _ in each]
    for name in filter(None, map(str.strip, text.split(","))):
        contigs = [names.find(name) for names in each]
        if not any(contigs):
            known = some_names(name for names in each for name in names.genome)
            raise DataPrepError(f"{option}: {shown_name(name)} is not among the contigs ({known}); give names that are")
        for contig, here in zip(contigs, found, strict=True):
            here.update([contig] if contig else [])
    return [frozenset(here).__contains__ for here in found]


def parse_contigs(text: str) -> frozenset[str] | None:
    """`human` (1-22, X, Y, M), `all` (None: no filter) or a comma-separated list, as bare names."""
    if text == "all":
        return None
    return HUMAN if text == "human" else frozenset(bare_name(name.strip()) for name in text.split(",") if name.strip())


def some_names(names: Iterable[str], at_most: int = 5) -> str:
    """The first few, for a message of one line."""
    first = [shown_name(name) for name, _ in zip(names, range(at_most + 1), strict=False)]
    return ", ".join([*first[:at_most], *(["…"] if len(first) > at_most else [])])


def missing_contigs_message(annotation: str, genome: str, missing: Iterable[str], names: list[str]) -> str:
    """One line: what is missing, what the FASTA calls its contigs, and whether only `chr` differs."""
    absent = sorted(missing)
    bare = {bare_name(name) for name in names}
    matching = [name for name in absent if bare_name(name) in bare]
    listed = ", ".join(map(shown_name, absent[:5])) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
    message = (
        f"{annotation}: {len(absent)} contig(s) missing in {genome}: {listed}; the FASTA begins with "
        f"{', '.join(map(shown_name, names[:5]))}"
    )
    if matching:
        verb = "removing" if matching[0][:3].lower() == "chr" else "adding"
        return f"{message}; {verb} 'chr' in the annotation would match {len(matching)} of them: give --match-chr"
    return (
        f"{message}; take genome and annotation of one release, or give --contig-aliases (a table of names), "
        "--on-missing-contig skip or --contigs"
    )
