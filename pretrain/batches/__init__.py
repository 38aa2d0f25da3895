"""Micro-batches: which samples, made ahead of the device."""
