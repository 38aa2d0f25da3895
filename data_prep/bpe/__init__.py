"""Byte-pair vocabularies trained on a corpus."""
