"""Did pretraining help? Frozen embeddings under a linear model, beside random weights and k-mer counts."""
