"""Which of masks that overlap lies above; apart from what does it, so that `esg --help` is quick."""

from __future__ import annotations

ORDERS = {
    "score": "the higher score lies above",
    "smaller": "the smaller mask lies above, so that parts show on wholes",
    "larger": "the larger mask lies above",
    "first": "earlier masks lie above later ones",
    "last": "later masks lie above earlier ones, as they were painted",
    "whole": "of masks within each other only the whole objects are kept",
}
