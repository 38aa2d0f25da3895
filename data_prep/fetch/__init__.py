"""Public raw files: where they are (table), how they come and are checked (download, fetch)."""
