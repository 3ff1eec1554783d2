"""IDF1: how well the entities of a clip are found and keep their identities.

Definition (Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", ECCV 2016
workshops): true and found tracks are matched one to one over the whole clip, so that as many frames as possible are
identity true positives, in which both are present with an IoU of at least 0.5. IDF1 is their F1 score.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..entities.label_arrays import count_pairs


class Identity(NamedTuple):
    """The measures of one or several clips, 0..1.

    Attributes:
        idf1: identity F1.
        idp: identity precision, the share of found entities whose identity is right.
        idr: identity recall, the share of true entities whose identity is right.
        f1: F1 of the entities of single frames, whatever their identity; the highest IDF1 that tracking can reach.
    """

    idf1: float
    idp: float
    idr: float
    f1: float


class IdentityCounts:
    """Counts of clips, frame by frame.

    >>> counts = IdentityCounts()
    >>> for found in ([[1, 1, 2]], [[2, 2, 1]]):  # the numbers are exchanged in the second frame
    ...     counts.add(np.array([[1, 1, 2]]), np.array(found))
    >>> counts.end_clip()
    >>> counts.result()
    Identity(idf1=0.5, idp=0.5, idr=0.5, f1=1.0)
    """

    def __init__(self, min_iou: float = 0.5) -> None:
        self.min_iou = min_iou
        self._true = self._found = self._matched = self._identified = 0
        self._together: Counter[tuple[int, int]] = Counter()  # frames of the clip in which two tracks match

    def add(self, truth: np.ndarray, found: np.ndarray) -> None:
        """Adds a frame: two (H, W) maps of track ids, 0 = none."""
        true_ids, true_map = np.unique(truth, return_inverse=True)
        found_ids, found_map = np.unique(found, return_inverse=True)
        shape = truth.shape
        both = count_pairs(
            true_map.reshape(shape), found_map.reshape(shape), (len(true_ids) - 1, len(found_ids) - 1)
        ).astype(np.float64)
        iou = both / (both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both)
        iou = iou[true_ids > 0][:, found_ids > 0]
        true_ids, found_ids = true_ids[true_ids > 0], found_ids[found_ids > 0]
        fits = iou >= self.min_iou
        self._true += len(true_ids)
        self._found += len(found_ids)
        self._matched += int(fits[linear_sum_assignment(fits, maximize=True)].sum())
        self._together.update((int(true_ids[i]), int(found_ids[j])) for i, j in np.argwhere(fits))

    def end_clip(self) -> None:
        """Matches the tracks of the clip that was added; the next frame begins another clip."""
        rows, columns = (sorted({pair[side] for pair in self._together}) for side in (0, 1))
        frames = np.array([[self._together[one, other] for other in columns] for one in rows]).reshape(
            len(rows), len(columns)
        )
        self._identified += int(frames[linear_sum_assignment(frames, maximize=True)].sum())
        self._together.clear()

    def result(self) -> Identity:
        """The measures of all clips that have ended; 0 where nothing is true or found."""
        true, found = max(self._true, 1), max(self._found, 1)
        both = max(self._true + self._found, 1)
        return Identity(
            2 * self._identified / both, self._identified / found, self._identified / true, 2 * self._matched / both
        )
