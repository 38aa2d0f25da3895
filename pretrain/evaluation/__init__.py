"""Evaluation of a finished model: likelihoods, embeddings, variant scores, base pairs; and its baselines."""
