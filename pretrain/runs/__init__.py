"""Content of a run folder: checkpoints, records, provenance."""
