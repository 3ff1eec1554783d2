"""Pictures with known entities: procedural scenes, human-segmented photos and augmentation for training."""
