"""Size limits of pictures and views; in a separate file so that `esg --help` is quick."""

from __future__ import annotations

MAX_PIXELS = 200_000_000  # pixels of a picture, checked before it is decoded; a guard against malicious files
MIN_SIDE = 32  # shortest side of a resized view, in pixels: one cell of the coarsest features
