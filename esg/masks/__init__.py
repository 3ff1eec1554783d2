"""Masks from any segmenter, read into an EntityMap."""

from .reading import read_masks

__all__ = ["read_masks"]
