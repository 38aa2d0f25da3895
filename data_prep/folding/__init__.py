"""Secondary structures and minimum free energies for corpora (spec: ViennaRNA with its default model)."""
