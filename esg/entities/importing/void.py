"""Numbers of label maps that belong to no entity besides 0: 255 and its kin, and negative numbers."""

from __future__ import annotations

from logging import getLogger
from pathlib import Path

import numpy as np

from ...support.errors import Advice, Sentence

log = getLogger(__name__)

# The largest numbers of 8 and 16 bits: the border around things in PASCAL VOC; pixels that Cityscapes, ADE20K and
# other data sets do not count.
VOIDS = (255, 65_535)
_MANY, _APART = 8, 3  # void is this many times as far from this many numbers as they are from each other


def without_void(labels: np.ndarray, void: int | None, path: str | Path, *, indexed: bool = False) -> np.ndarray:
    """Labels in which every number that belongs to no entity is 0.

    If -1 is the only negative number, it stands for nothing, so 0 is an entity, and all numbers become larger by 1.
    Any other negative number, such as PyTorch's -100, belongs to no entity, and neither does 0.

    Args:
        labels: (H, W) integers.
        void: another number that belongs to no entity; None: 255 or 65535 in a palette, or if it is far from the other
            numbers; -1: no other number. With 0, 0 is never an entity.
        path: the file, for the log.
        indexed: whether the labels are indices into a palette.
    """
    lowest = int(labels.min())
    nothing = labels < 0
    from_zero = lowest == -1 and void != 0
    if void is None:
        void = _found_void(labels, path, indexed)
    if void is not None and void > 0:
        nothing |= labels == void
    if from_zero:
        log.info(Sentence(f"{path}: -1 belongs to no entity, and 0 is an entity.", Advice.NOT_ZERO))
        return np.where(nothing, 0, labels.astype(np.int32) + 1)
    if lowest < 0:
        log.info("%s: negative and undefined numbers belong to no entity.", path)
    return np.where(nothing, labels.dtype.type(0), labels) if nothing.any() else labels


def _found_void(labels: np.ndarray, path: str | Path, indexed: bool) -> int | None:
    """255 or 65535 if it is the largest number and stands for nothing."""
    largest = int(labels.max())
    if largest not in VOIDS:
        return None
    numbers = np.unique(labels[labels >= 0])
    if _is_void(numbers, largest, indexed):
        log.info(Sentence(f"{path}: {largest} is void, which belongs to no entity.", Advice.VOID))
        return largest
    if largest - 1 not in numbers:  # otherwise it is one of many entities
        log.info(Sentence(f"{path}: {largest} is an entity.", Advice.NOT_VOID))
    return None


def _is_void(numbers: np.ndarray, void: int, indexed: bool) -> bool:
    """Whether the largest of some numbers is void.

    Without a palette, it is void if it is far from all others: farther than they are from 0, or several times as far as
    many of them are from each other.
    """
    others = numbers[(numbers > 0) & (numbers < void)]
    if not len(others):
        return False
    if indexed:
        return bool(others.max() < void - 1)
    step = int(np.gcd.reduce([*others.tolist(), void]))
    gap = void - int(others.max())
    widest = int(np.diff(others, prepend=0).max())
    return gap > step and (gap > max(others.max(), widest) or (len(others) >= _MANY and gap >= _APART * widest))
