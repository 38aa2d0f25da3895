"""What is in a corpus: numbers, plots, one page."""
