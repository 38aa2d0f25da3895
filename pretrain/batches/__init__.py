"""Micro-batches: which samples they hold, and building them ahead of the device."""
