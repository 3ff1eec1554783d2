"""COCO's run-length encoding of masks, identical to pycocotools byte for byte, in NumPy only.

An RLE is `{"size": [height, width], "counts": ...}`: lengths of alternating stretches outside and inside the mask,
starting outside, reading the picture column by column. `counts` is the list itself or its compressed string: from the
fourth entry on, the difference from the entry two before it, in base 32 with the lowest digit first and one printable
character per digit (bit 5: more digits follow; bit 4 of the last digit is the sign).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..support.errors import InputError
from .label_arrays import box_of_mask, find_runs

Rle = Mapping[str, Any]
_MOST_DIGITS = 7  # 35 bits: every count of a picture with fewer than 2**34 pixels
_LONG_RUN = 128  # for longer runs a slice is faster than an index for every pixel
_RUNS_AT_ONCE = 1 << 13


def encode_labels(labels: np.ndarray, count: int) -> list[Rle]:
    """The RLEs of labels 1..count of an (H, W) map, in one pass over the map."""
    height, width = labels.shape
    runs = find_runs(labels.T)
    order = np.argsort(runs.labels, kind="stable")
    ends = np.searchsorted(runs.labels[order], np.arange(1, count + 2))
    pieces = [order[a:b] for a, b in pairwise(ends)]
    return [_from_runs(runs.starts[piece], runs.stops[piece], height, width) for piece in pieces]


def encode_mask(
    mask: np.ndarray, *, corner: tuple[int, int] = (0, 0), size: tuple[int, int] | None = None, packed: bool = True
) -> Rle:
    """The RLE of a mask, or of a patch of one.

    Args:
        mask: (h, w) bool.
        corner: x, y of the patch in its picture.
        size: height, width of the picture; the mask's own by default.
        packed: whether its counts are the compressed string, or else (K,) int64, which is faster to make and to read.
    """
    height, width = size or mask.shape
    box = box_of_mask(mask)  # most masks cover a small part of their picture
    patch = mask[box]
    runs = find_runs(patch.T)
    column, row = np.divmod(runs.starts[runs.labels], patch.shape[0])
    starts = (column + box[1].start + corner[0]) * height + row + box[0].start + corner[1]
    return _from_runs(starts, starts + (runs.stops - runs.starts)[runs.labels], height, width, packed=packed)


def _from_runs(starts: np.ndarray, stops: np.ndarray, height: int, width: int, *, packed: bool = True) -> Rle:
    flat = np.stack([starts, stops], axis=1).ravel()
    # A run that ends at the bottom of a column and continues at the top of the next one is a single stretch.
    joined = np.zeros(len(flat), bool)
    joined[1:-1:2] = joined[2::2] = starts[1:] == stops[:-1]
    counts = np.diff(flat[~joined], prepend=0, append=height * width)
    counts = counts if counts[-1] or len(counts) == 1 else counts[:-1]
    return {"size": [height, width], "counts": compress(counts) if packed else counts}


def union(masks: Sequence[Rle]) -> Rle:
    """The union of one or more RLEs of the same size."""
    if len(masks) == 1:
        return masks[0]
    edges = [np.cumsum(read_counts(mask)) for mask in masks]
    starts = np.concatenate([one[:-1:2] for one in edges])
    stops = np.concatenate([one[1::2] for one in edges])
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(stops[order])
    first = np.append(True, starts[1:] > reach[:-1]) if len(starts) else np.zeros(0, bool)
    last = np.append(first[1:], True) if len(starts) else first
    return _from_runs(starts[first], reach[last], *size_of(masks[0]))


def size_of(rle: Rle) -> tuple[int, int]:
    """The checked height and width of an RLE's picture; InputError if they are missing."""
    try:
        height, width = (int(n) for n in rle["size"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError("A mask is not a COCO RLE: it does not have a size [height, width].") from None
    if height < 1 or width < 1 or height * width >= 1 << 34:
        raise InputError(f"A mask's RLE has the impossible size [height, width] {[height, width]}.")
    return height, width


def read_counts(rle: Rle) -> np.ndarray:
    """The checked lengths of an RLE whose counts are a list, a string or bytes: (K,) int64 that add up to the picture.

    Raises:
        InputError: the RLE is malformed.
    """
    height, width = size_of(rle)
    try:
        counts = rle["counts"]
        if isinstance(counts, (str, bytes)):
            lengths = decompress(counts)
        else:
            lengths = np.asarray(counts)
            if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
                raise ValueError("its counts are not a list of whole numbers")
            lengths = lengths.astype(np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise InputError(f"A mask is not a COCO RLE: {reason}.") from None
    if (lengths < 0).any() or lengths.max(initial=0) > height * width:
        raise InputError(f"A mask's RLE has a negative or too large count for its size of {width}x{height}.")
    if lengths.sum() != height * width:
        raise InputError(
            f"A mask's RLE covers {lengths.sum()} pixels but its size {width}x{height} has {height * width}."
        )
    return lengths


def unpacked(rle: Rle) -> Rle:
    """An RLE with its checked counts as an array, so that they are read only once; InputError as `read_counts`."""
    return {"size": size_of(rle), "counts": read_counts(rle)}


def paint(rle: Rle, columns: np.ndarray, value: int) -> None:
    """Writes `value` into the pixels of a mask, in place.

    Args:
        columns: (W * H,), a picture column by column, as RLEs count it.
    """
    edges = np.cumsum(read_counts(rle))
    starts, stops = edges[:-1:2], edges[1::2]
    long = stops - starts > _LONG_RUN
    for start, stop in zip(starts[long], stops[long], strict=True):
        columns[start:stop] = value
    starts, lengths = starts[~long], (stops - starts)[~long]
    for some in range(0, len(starts), _RUNS_AT_ONCE):
        length = lengths[some : some + _RUNS_AT_ONCE]
        first = starts[some : some + _RUNS_AT_ONCE] - (np.cumsum(length) - length)
        columns[np.arange(length.sum()) + np.repeat(first, length)] = value


def decode_mask(rle: Rle) -> np.ndarray:
    """The (H, W) bool mask of an RLE."""
    height, width = size_of(rle)
    columns = np.zeros(width * height, bool)
    paint(rle, columns, True)
    return np.ascontiguousarray(columns.reshape(width, height).T)


def area(rle: Rle) -> int:
    """The number of pixels inside an RLE's mask."""
    return int(read_counts(rle)[1::2].sum())


def compress(counts: np.ndarray) -> str:
    """The compressed string of (K,) int64 counts."""
    values = counts.astype(np.int64)
    values[3:] -= counts[1:-2]
    digits = values[:, None] >> (5 * np.arange(_MOST_DIGITS))  # arithmetic shift: the sign stays
    # A digit is the last one if the bits above it only repeat its sign bit.
    more = digits >> 5 != -(digits >> 4 & 1)
    used = np.ones_like(more)
    used[:, 1:] = np.logical_and.accumulate(more, axis=1)[:, :-1]
    characters = (digits & 31) + 32 * more + 48
    return characters[used].astype(np.uint8).tobytes().decode("ascii")


def decompress(text: str | bytes) -> np.ndarray:
    """The (K,) int64 counts of a compressed string; ValueError if it is invalid."""
    data = text.encode("ascii", "replace") if isinstance(text, str) else text
    codes = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    last = codes & 32 == 0
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or not last[-1]:
        raise ValueError("its compressed counts are damaged")
    stops = np.flatnonzero(last) + 1
    starts = np.append(0, stops[:-1])
    if (stops - starts).max() > _MOST_DIGITS:
        raise ValueError("its compressed counts are damaged")
    place = np.arange(len(codes)) - np.repeat(starts, stops - starts)
    values = np.add.reduceat((codes & 31) << (5 * place), starts)
    values -= (codes[stops - 1] >> 4 & 1) << (5 * (stops - starts))
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
