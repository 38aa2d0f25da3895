"""What lies in a run folder: checkpoints, records, where results come from."""
