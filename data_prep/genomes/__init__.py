"""Genomes as corpora: assemblies, their contigs, and named intervals of them."""
