"""Reads masks of any segmenter into an EntityMap."""

from .reading import kind_of, read_masks, tells_photos_apart

__all__ = ["kind_of", "read_masks", "tells_photos_apart"]
