"""UTR corpora: what a UTR is (parts), two input routes (from_genome, from_transcripts), selection and pieces."""
