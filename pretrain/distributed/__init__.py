"""Ranks: who they are, whether they live, how they are asked to stop."""
