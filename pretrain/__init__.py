"""polymerase: pretraining of RNA and DNA language models."""
