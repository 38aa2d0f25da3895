"""Order, reading and cutting: which samples make up which micro-batch, and what they contain."""
