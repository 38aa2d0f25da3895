"""What a finished model is asked: likelihoods, embeddings, variant scores, base pairs; and its baselines."""
