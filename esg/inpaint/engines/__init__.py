"""Inpainting engines, one per file; each imports its library only where it is used."""
