"""Whether a transcript codes for a protein, as the file tells it.

The transcript's own biotype counts most; then the second column, where Ensembl wrote it up to release 75; then the
gene's. A transcript with a CDS about which the file says nothing (UCSC, FlyBase, BRAKER, …) is taken for coding.
"""

CODING = "protein_coding"
SAME = dict.fromkeys(("protein_coding", "protein_coding_gene", "mrna", "coding"), CODING)
# What Ensembl wrote into the second column; other files have the name of a program or database there.
_ENSEMBL_75 = """
    protein_coding nonsense_mediated_decay non_stop_decay polymorphic_pseudogene retained_intron processed_transcript
    pseudogene processed_pseudogene unprocessed_pseudogene transcribed_processed_pseudogene
    transcribed_unprocessed_pseudogene transcribed_unitary_pseudogene unitary_pseudogene translated_processed_pseudogene
    IG_C_gene IG_D_gene IG_J_gene IG_V_gene IG_C_pseudogene IG_J_pseudogene IG_V_pseudogene IG_LV_gene TR_C_gene
    TR_D_gene TR_J_gene TR_V_gene TR_J_pseudogene TR_V_pseudogene ambiguous_orf antisense disrupted_domain lincRNA
    ncrna_host sense_intronic sense_overlapping transposable_element nontranslating_CDS"""
SECOND_COLUMN = frozenset(_ENSEMBL_75.split())


def one_spelling(biotype: str) -> str:
    """`mRNA`, `protein-coding` and `Protein coding` are protein_coding; others stay as they are."""
    return SAME.get(biotype.strip().lower().replace("-", "_").replace(" ", "_"), biotype.strip())


def settle_biotype(transcript: str, source: str, gene: str) -> tuple[str, str]:
    """(biotype, where it comes from): "transcript", "source", "gene", or "" where only the CDS tells."""
    if transcript:
        return one_spelling(transcript), "transcript"
    if source in SECOND_COLUMN:
        return source, "source"
    if gene:
        return one_spelling(gene), "gene"
    return CODING, ""
