"""What a pretrained model is good for: labeled tasks with fixed splits, beside what a model has to beat."""
