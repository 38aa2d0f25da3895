"""Ranks: which one this is, whether the others are alive, and how they are asked to stop."""
