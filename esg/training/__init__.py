"""Training: matching, losses, samples from scenes and photos, the training loop and its checkpoints."""
