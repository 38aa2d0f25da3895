"""Allele frequencies: VCF records in, rows of A, C, G, T frequencies on a genome out (recipes/mutbert.md#variants)."""
