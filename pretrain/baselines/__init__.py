"""Baselines: statistical readers that are told what the model is told, and nothing of what it learned."""
