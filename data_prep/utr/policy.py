"""Which UTRs become a corpus (recipes/utrs.md#selection): one field per choice, and presets of published corpora."""

from dataclasses import dataclass

INCOMPLETE_TAGS = {3: frozenset({"mRNA_end_NF", "cds_end_NF"}), 5: frozenset({"mRNA_start_NF", "cds_start_NF"})}
PER_GENE = ("longest_transcript", "longest_utr", "canonical", "all")


@dataclass(frozen=True, slots=True)
class UtrPolicy:
    """Lengths are nucleotides. Filters run in the order of the fields."""

    side: int  # 3 or 5
    biotypes: frozenset[str] | None = frozenset({"protein_coding"})  # None: any
    contigs: frozenset[str] | None = None  # as the annotation names them; None: any
    drop_incomplete: bool = True  # by the tags of GENCODE and Ensembl GTF
    check_codons: bool = False  # 3': a stop codon ends the coding part; 5': ATG begins it
    min_length: int = 10
    per_gene: str = "all"
    crop_to: int | None = None  # longer ones lose their 5' end
    duplicates: str = "drop"  # or "keep"
    piece_len: int | None = None
    max_ambiguous: float = 0.0  # share of letters outside A, C, G, U in what is stored
    validation: float = 0.02  # of genes
    alphabet: str = "rna"  # a name of ALPHABETS


# By side; the first of each is the default. recipes/utrbert.md#data, recipes/utr_lm.md#data: 30 to 1022 nt, long ones
# cut (records of exactly 1022 nt show it), distinct; which end they lose is not known, downstream keeps the 3' end.
PRESETS = {
    3: {"utrbert": UtrPolicy(side=3, per_gene="longest_transcript", piece_len=510)},
    5: {"whole": UtrPolicy(side=5), "utr_lm": UtrPolicy(side=5, min_length=30, crop_to=1022)},
}
