"""What a run will cost, before anything is spent on it."""
