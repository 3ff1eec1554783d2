"""Row ranges of large pictures, for work whose temporary arrays would otherwise take too much memory."""

from __future__ import annotations

from collections.abc import Iterator

STRIP_PIXELS = 1 << 20  # numpy indexes with eight bytes per pixel, too much for a whole large picture


def strips(height: int, width: int) -> Iterator[slice]:
    """Row ranges of about a million pixels that together cover a picture from top to bottom."""
    rows = max(1, STRIP_PIXELS // max(width, 1))
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))
