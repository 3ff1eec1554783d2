"""The orders in which overlapping masks can be stacked; in a separate file so that `esg --help` is quick."""

from __future__ import annotations

ORDERS = {
    "score": "the mask with the higher score is on top",
    "smaller": "the smaller mask is on top, so that parts show on wholes",
    "larger": "the larger mask is on top",
    "first": "earlier masks are on top",
    "last": "later masks are on top, as if painted in order",
    "whole": "of nested masks, only whole objects are kept",
}
