"""Did pretraining help? Linear probes and fine-tuned heads, beside random weights and k-mer counts."""
