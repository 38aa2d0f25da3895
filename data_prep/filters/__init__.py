"""What may enter a corpus, one filter one file; each counts what it drops, by reason."""
