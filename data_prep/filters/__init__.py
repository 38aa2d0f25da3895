"""Filters of a corpus, one per file; each counts what it drops, by reason."""
