"""Sizes beyond which a picture or a view is refused; apart from what they guard, so that `esg --help` is quick."""

from __future__ import annotations

MAX_PIXELS = 200_000_000  # of a picture, before it is decoded; a guard against malicious files
MIN_SIDE = 32  # of the sides that views are resized to, in pixels: one cell of the coarsest features
