"""Masks and label maps in numpy files, read from the file one mask at a time; pickles are never executed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import InputError
from ..labelmap import strips
from ..limits import MAX_PIXELS
from .stack import MAX_MASKS, LabelMap, Stack, check_size, encode

MAX_STACK = 100  # pictures of `max_pixels` that all masks together may be as large as
_SCORES = ("scores", "score", "predicted_iou", "iou_predictions", "iou_scores")  # names of arrays in a .npz file
_NO_MASKS = (*_SCORES, "boxes", "bboxes", "bbox")
_WHOLE = 1 << 30  # bytes of a stack in Fortran order, whose masks do not lie one after the other
_READ_ERRORS = (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, RuntimeError)


def read_arrays(path: Path, size: tuple[int, int] | None = None, *, max_pixels: int = MAX_PIXELS) -> Stack | LabelMap:
    """The masks of a .npy or .npz file; what it may hold of pickles is never executed.

    An array of shape (N, H, W), or (N, 1, H, W) as SAM's predictor returns it, is a stack of masks. One of shape (H, W)
    is a label map of whole numbers, or a single mask of bools. Of a .npz the array `masks` is taken, else `labels`,
    else the only one that has two dimensions or more and is not called `boxes`; and the scores from `scores`, if any.

    Args:
        path: the file.
        size: height, width that the masks must have.
        max_pixels: larger masks are refused before they are read, and so are stacks of more than `MAX_STACK` times
            as many pixels or more than `MAX_MASKS` masks.

    Raises:
        InputError: the file is damaged or too large, or holds no masks.
    """
    try:
        with ExitStack() as close:
            file = close.enter_context(path.open("rb"))
            zipped = file.read(2) == b"PK"
            file.seek(0)
            if not zipped:
                return _read_masks(_Array(file, str(path)), None, size, path, max_pixels)
            archive = close.enter_context(zipfile.ZipFile(file))
            name, scores = _pick_arrays(archive, path)
            with archive.open(f"{name}.npy") as member:
                return _read_masks(_Array(member, f"The array {name} of {path}"), scores, size, path, max_pixels)
    except _READ_ERRORS as error:
        reason = str(error).rstrip(".").replace("\n", " ") or type(error).__name__
        raise InputError(f"{path} is damaged or incomplete ({reason}).") from None


class _Array:
    """The header of a numpy array in a file, and then its numbers, as many as are asked for."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.stream, self.name = stream, name
        try:
            version = np.lib.format.read_magic(stream)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            self.shape, self.transposed, self.dtype = read_header(stream)
        except Exception as error:  # a header is Python text, and a damaged one can raise nearly anything
            raise ValueError("the header of an array is damaged") from error
        if any(length < 0 for length in self.shape):
            raise ValueError(f"an array has the shape {self.shape}")

    def check_dtype(self, kinds: str, what: str) -> None:
        """InputError unless the numbers are of one of these kinds of numpy's; `what` is the rest of the sentence."""
        if self.dtype.kind not in kinds:
            raise InputError(f"{self.name} holds an array of {self.dtype}, but {what}.")

    def read(self, *shape: int) -> np.ndarray:
        """The next numbers, in C order whatever the order of the array is."""
        length = prod(shape) * self.dtype.itemsize
        data = self.stream.read(length)
        if len(data) < length:
            raise EOFError("it ends before the last of its numbers")
        return np.frombuffer(data, self.dtype).reshape(shape)


def _pick_arrays(archive: zipfile.ZipFile, path: Path) -> tuple[str, list[float] | None]:
    found = {}
    for member in archive.namelist():
        if member.endswith(".npy"):
            with archive.open(member) as stream:
                found[member[:-4]] = _Array(stream, f"The array {member[:-4]} of {path}")
    planes = [name for name, array in found.items() if len(array.shape) >= 2 and name not in _NO_MASKS]
    if not found:
        raise InputError(f"{path} holds no numpy arrays.")
    if "masks" in found:
        name = "masks"
    elif "labels" in planes:
        name = "labels"
    elif len(planes) == 1:
        (name,) = planes
    else:
        raise InputError(
            f'{path} has no array called "masks" (number of masks, height, width) or "labels" (height, width), '
            f"only {', '.join(found)}."
        )
    keys = [key for key in _SCORES if key in found]
    return name, _read_scores(archive, keys[0], path) if keys else None


def _read_scores(archive: zipfile.ZipFile, key: str, path: Path) -> list[float]:
    with archive.open(f"{key}.npy") as stream:
        array = _Array(stream, f"The array {key} of {path}")
        array.check_dtype("fiu", "scores are numbers")
        if prod(array.shape) > 1 << 24 or prod(array.shape) != max(array.shape, default=1):
            raise InputError(f"{array.name} has the shape {array.shape}; it must hold one score a mask.")
        return array.read(prod(array.shape)).astype(np.float64).tolist()


def _read_masks(
    array: _Array, scores: list[float] | None, size: tuple[int, int] | None, path: Path, max_pixels: int
) -> Stack | LabelMap:
    if array.dtype.hasobject:
        raise InputError(
            f"{array.name} holds Python objects (a pickle), which are not read as they could run programs; "
            f"save the masks as a plain array of shape (number of masks, height, width)."
        )
    shape = array.shape
    if len(shape) == 4 and shape[1] == 1:
        shape = (shape[0], *shape[2:])
    if len(shape) not in (2, 3):
        raise InputError(
            f"{array.name} has the shape {array.shape}; masks have (number of masks, height, width), "
            f"a label map has (height, width)."
        )
    if size is not None and len(shape) == 3 and shape[:2] == tuple(size) != shape[1:]:
        raise InputError(f"{array.name} has its masks along the last axis; save it as array.transpose(2, 0, 1).")
    height, width = shape[-2:]
    check_size((height, width), size, path, max_pixels)
    if len(shape) == 2:
        array.check_dtype("biu", "labels are whole numbers; save it with .astype(numpy.int32)")
        return LabelMap(_read_labels(array), scores)
    array.check_dtype("biuf", "masks are bool, 0 and 1 or 0 and 255")
    count = shape[0]
    if count > MAX_MASKS or count * height * width > MAX_STACK * max_pixels:
        raise InputError(
            f"{array.name} is a stack of {count:,} masks of {width}x{height} pixels, more than the limit of "
            f"{MAX_MASKS:,} masks or {MAX_STACK * max_pixels:,} pixels in all; save them as COCO JSON or a label PNG."
        )
    if scores is not None and len(scores) != count:
        raise InputError(f"{path} has {count} masks but {len(scores)} scores; give one score a mask.")
    rles = [encode(mask, f"Mask {k} of {path}") for k, mask in enumerate(_one_by_one(array, count, height, width), 1)]
    return Stack(rles, scores, (height, width))


def _one_by_one(array: _Array, count: int, height: int, width: int) -> Iterator[np.ndarray]:
    if not array.transposed:
        for _ in range(count):
            yield array.read(height, width)
        return
    if prod(array.shape) * array.dtype.itemsize > _WHOLE:
        raise InputError(
            f"{array.name} is in Fortran order and too large to be turned; save it as numpy.ascontiguousarray(array)."
        )
    yield from array.read(width, height, count).T


def _read_labels(array: _Array) -> np.ndarray:
    shape = array.shape[::-1] if array.transposed else array.shape
    labels = np.empty(shape, np.int32)
    for rows in strips(*shape):
        block = array.read(*labels[rows].shape)
        if block.min() < 0 or block.max() > np.iinfo(np.int32).max:
            raise InputError(f"{array.name} holds labels from {block.min()} to {block.max()}, which are none.")
        labels[rows] = block
    return labels.T if array.transposed else labels
