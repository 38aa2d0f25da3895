"""Files from outside: text, FASTA, genomes, annotation; each has one reader."""
