"""Checkpoints from outside: read as data, never as code, and mapped strictly onto our names."""
