"""Which contigs are circular, so that an exon may go on beyond their end."""

from collections.abc import Container

from data_prep.formats.contig_names import bare_name

# Organelles by the names of Ensembl, UCSC, RefSeq, TAIR, SGD; a GTF cannot say which contigs are circular.
ORGANELLES = frozenset({"M", "Mt", "Mito", "MtDNA", "mitochondrion", "mitochondrion_genome", "Pt", "C", "chloroplast"})


def is_circular(contig: str, named: Container[str]) -> bool:
    """Whether the annotation names the contig circular, or its name is that of an organelle."""
    return contig in named or bare_name(contig) in ORGANELLES
