"""Cost of a run, before anything is spent on it."""
