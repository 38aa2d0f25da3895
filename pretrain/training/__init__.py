"""Training: components of a run, engine, loop, validation, resume."""
