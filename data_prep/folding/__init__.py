"""Secondary structures and minimum free energies for corpora (recipes/utr_lm.md#folding)."""
