"""Training: matching, losses, samples from scenes and photos, the loop and its checkpoints."""
