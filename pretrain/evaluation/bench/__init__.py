"""What a pretrained model is good for: labelled tasks with fixed splits, beside what a model has to beat."""
