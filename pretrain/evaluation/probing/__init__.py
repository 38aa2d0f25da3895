"""Probing: linear probes and fine-tuned heads, beside random weights and k-mer counts."""
