"""Masks and label maps in numpy files, read one mask at a time; pickles are never executed."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from io import RawIOBase
from logging import getLogger
from math import prod
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np

from ...support.errors import InputError
from ...support.limits import MAX_PIXELS
from ...support.strips import strips
from ..rle import Rle
from .items import LeftOut
from .pictures import looks_like_mask, read_pixels
from .stack import MAX_DRAWN, LabelMap, Stack, are_logits, check_size, encode
from .void import VOIDS, without_void

log = getLogger(__name__)

MAX_STACK = 10_000  # masks; more are a label map, or a mistake
_SAMS = ("predicted_iou", "iou_predictions", "iou_scores")  # SAM's own scores, which mark nested masks
_SCORES = ("scores", "score", *_SAMS, "confidence", "confidences", "conf", "pred_scores", "mask_scores", "probs")
_MASKS = ("masks", "labels", "mask", "pred_masks", "segmentation", "segments")  # names in a .npz, best first
_BOXES = ("boxes", "bboxes", "bbox", "xyxy", "xywh", "pred_boxes")
_NO_MASKS = (*_SCORES, *_BOXES)
_PIECE = 1 << 16  # bytes of a packed array that are read at once
_CHECKED = 1 << 28  # bytes; the checksum of a larger array is not checked, which takes as long as unpacking
_WHOLE = 1 << 30  # bytes of a stack whose masks are not one after the other in the file
_READ_ERRORS = (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, RuntimeError)
_IS_MASK = "masks are bool, 0 and 1 or 0 and 255"


def read_arrays(
    path: Path,
    size: tuple[int, int] | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
    threshold: float = 0.5,
    void: int | None = None,
) -> Stack | LabelMap:
    """Reads the masks of a .npy or .npz file; pickles in it are never executed.

    An array of shape (N, H, W) is a stack of masks, and so is one of (H, W, N) if only that fits the photo. One of
    shape (H, W) is a label map if it holds integers, or a single mask if it holds bools or soft values. uint8 of shape
    (H, W, 3) or (H, W, 4), if only that fits the photo, is a picture unless its channels are masks. Further axes of
    length 1, as in the (N, 1, H, W) of SAM's predictor, are ignored.

    In a .npz, the array is `masks`, `labels` or another usual name; otherwise the only one with at least two
    dimensions that is not called `boxes`, or the only one that fits the photo. If several (H, W) arrays fit, each that
    holds a mask is one. The scores come from `scores`, if it is there.

    Args:
        path: the file.
        size: height, width that the masks must have.
        max_pixels: larger masks are refused before they are read, and so are stacks of more than `MAX_STACK` masks or
            `MAX_DRAWN` pixels in all.
        threshold: fraction of white above which a pixel of a soft mask is inside.
        void: label that belongs to no entity, as in `void.without_void`.

    Raises:
        InputError: the file is damaged or too large, or does not hold any usable masks.
    """
    try:
        with ExitStack() as close:
            file = close.enter_context(path.open("rb"))
            zipped = file.read(2) == b"PK"
            file.seek(0)
            if not zipped:
                return _read_masks(_Array(file, str(path)), None, False, size, path, max_pixels, threshold, void)
            archive = close.enter_context(zipfile.ZipFile(file))
            names, scores, nested = _pick_arrays(archive, size, path)
            if len(names) > 1:
                return _read_planes(archive, names, size, path, max_pixels, threshold)
            with _opened(archive, f"{names[0]}.npy", file) as member:
                array = _Array(member, f"The array {names[0]} of {path}")
                return _read_masks(array, scores, nested, size, path, max_pixels, threshold, void)
    except _READ_ERRORS as error:
        reason = str(error).rstrip(".").replace("\n", " ") or type(error).__name__
        raise InputError(f"{path} is damaged or incomplete ({reason}).") from None


class _Inflated(RawIOBase):
    """A deflated member of a zip file, read in pieces of any size.

    zipfile does the same, but takes twice the time: it unpacks 4 KiB at a time, and a stack of masks is a thousand
    times as large as its file.
    """

    def __init__(self, file: BinaryIO, packed: int, size: int, crc: int) -> None:
        self._file, self._packed, self._left = file, packed, size
        self._crc = crc if size <= _CHECKED else None
        self._stream = zlib.decompressobj(-15)
        self._found = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes, fewer only at the end.

        Raises:
            zipfile.BadZipFile: the checksum of everything that was read is wrong.
        """
        wanted = self._left if size < 0 else min(size, self._left)
        pieces = []
        while wanted:
            data = self._stream.unconsumed_tail or self._file.read(min(_PIECE, self._packed))
            if not self._stream.unconsumed_tail:
                self._packed -= len(data)
            piece = self._stream.decompress(data, wanted)
            if not piece and not data:
                break
            pieces.append(piece)
            wanted -= len(piece)
        found = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._left -= len(found)
        if self._crc is not None:
            self._found = zlib.crc32(found, self._found)
            if not self._left and self._found != self._crc:
                raise zipfile.BadZipFile("its checksum is wrong")
        return found


def _opened(archive: zipfile.ZipFile, name: str, file: BinaryIO) -> IO[bytes]:
    """Opens a member of a zip file, which is itself open as `file`."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_DEFLATED or member.flag_bits & 1:  # not packed, or encrypted
        return archive.open(name)
    with archive.open(name):  # which checks the header in front of it
        file.seek(member.header_offset + 26)
    lengths = struct.unpack("<HH", file.read(4))
    file.seek(sum(lengths), 1)
    return cast(IO[bytes], _Inflated(file, member.compress_size, member.file_size, member.CRC))


class _Array:
    """A numpy array in a file: its header, and its numbers, which are read as needed."""

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
        """Raises InputError unless the dtype is of one of numpy's `kinds`; `what` is the rest of the sentence."""
        if self.dtype.kind not in kinds:
            raise InputError(f"{self.name} holds an array of {self.dtype}, but {what}.")

    def read(self, *shape: int) -> np.ndarray:
        """The next numbers, in the order in which the file has them."""
        length = prod(shape) * self.dtype.itemsize
        data = self.stream.read(length)
        if len(data) < length:
            raise EOFError("it ends before the last of its numbers")
        return np.frombuffer(data, self.dtype).reshape(shape)


def _pick_arrays(
    archive: zipfile.ZipFile, size: tuple[int, int] | None, path: Path
) -> tuple[list[str], list[float] | None, bool]:
    """The name of the array of masks, or the names of several planes; the scores, and whether they are SAM's."""
    found = {}
    for member in archive.namelist():
        if member.endswith(".npy"):
            with archive.open(member) as stream:
                found[member[:-4]] = _Array(stream, f"The array {member[:-4]} of {path}")
    if {"indices", "indptr", "shape"} <= set(found):
        raise InputError(f"{path} holds a sparse matrix of SciPy; save it with numpy.save(path, matrix.toarray()).")
    planes = [name for name, array in found.items() if len(array.shape) >= 2 and name not in _NO_MASKS]
    if not found:
        raise InputError(f"{path} does not hold any numpy arrays{_what_it_is(archive)}.")
    known = [name for name in _MASKS if name in planes or (name == "masks" and name in found)]
    fitting = [name for name in planes if size is not None and found[name].shape[-2:] == tuple(size)]
    flat = [name for name in fitting or planes if len(found[name].shape) == 2 and found[name].dtype.kind in "biu"]
    if known:
        names = known[:1]
    elif len(planes) == 1:
        names = planes
    elif len(fitting) == 1:
        names = fitting
    elif flat and len({found[name].shape for name in flat}) == 1:
        names = flat
    else:
        raise _no_masks(found, path)
    keys = [key for key in _SCORES if key in found]
    return names, _read_scores(archive, keys[0], path) if keys else None, bool(keys) and keys[0] in _SAMS


def _no_masks(names: Iterable[str], path: Path) -> InputError:
    return InputError(
        f'{path} does not have an array called "masks" (number of masks, height, width) or "labels" (height, width), '
        f"only {', '.join(names)}; rename the right one."
    )


def _read_planes(
    archive: zipfile.ZipFile,
    names: list[str],
    size: tuple[int, int] | None,
    path: Path,
    max_pixels: int,
    threshold: float,
) -> Stack:
    """The masks among several (H, W) arrays of the same size; the others, such as depth maps, are skipped."""
    masks: dict[str, np.ndarray] = {}
    for name in names:
        with archive.open(f"{name}.npy") as stream:
            array = _Array(stream, f"The array {name} of {path}")
            height, width = array.shape
            check_size((height, width), size, array.name, max_pixels)
            _check_stack(array, len(names), height, width)
            values = _read_values(array, height, width)
        if array.dtype.kind == "b" or 0 <= values.min() <= values.max() <= 1 or looks_like_mask(values):
            masks[name] = values != 0 if array.dtype.kind == "b" else values
    if not masks:
        raise _no_masks(names, path)
    others = [name for name in names if name not in masks]
    log.info(
        "%s: each of the arrays %s is a mask%s.",
        path,
        ", ".join(masks),
        f"; {', '.join(others)} {'is' if len(others) == 1 else 'are'} not" if others else "",
    )
    first = next(iter(masks.values()))
    return _encoded(masks.values(), None, False, (first.shape[0], first.shape[1]), path, threshold)


def _what_it_is(archive: zipfile.ZipFile) -> str:
    """The kind of a zip file that is not an array, as the end of a sentence."""
    names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        return "; it is a PyTorch file, which is not read because it could run programs"
    return "; unpack it, and give the file or folder of masks in it" if names else ""


def _read_scores(archive: zipfile.ZipFile, key: str, path: Path) -> list[float] | None:
    """One score per mask; None, with a warning, if the array is something else."""
    with archive.open(f"{key}.npy") as stream:
        array = _Array(stream, f"The array {key} of {path}")
        if array.dtype.kind not in "fiuUS":
            log.warning("%s holds %s instead of numbers; the scores are ignored.", array.name, array.dtype)
            return None
        if prod(array.shape) > 1 << 24 or prod(array.shape) != max(array.shape, default=1):
            log.warning(
                "%s has the shape %s instead of one score per mask; the scores are ignored.", array.name, array.shape
            )
            return None
        try:
            return array.read(prod(array.shape)).astype(np.float64).tolist()
        except ValueError:  # text that does not hold numbers
            log.warning("%s holds text that is not numbers; the scores are ignored.", array.name)
            return None


def _read_masks(
    array: _Array,
    scores: list[float] | None,
    nested: bool,
    size: tuple[int, int] | None,
    path: Path,
    max_pixels: int,
    threshold: float,
    void: int | None,
) -> Stack | LabelMap:
    if array.dtype.hasobject:
        raise InputError(
            f"{array.name} holds Python objects (a pickle), which are not read because they could run programs; "
            f"save the masks as a plain array of shape (number of masks, height, width)."
        )
    shape = _without_empty_axes(array.shape, size)
    if len(shape) not in (2, 3):
        raise InputError(
            f"{array.name} has the shape {array.shape}; masks have (number of masks, height, width), "
            f"and a label map has (height, width)."
        )
    if size is not None and len(shape) == 3 and shape[:2] == tuple(size) != shape[1:]:
        return _read_last_axis(array, scores, nested, size, path, max_pixels, threshold, void)
    height, width = shape[-2:]
    check_size((height, width), size, path, max_pixels)
    if len(shape) == 2:
        array.check_dtype("biuf", "labels are integers, and masks go from 0 to 1")
        return _read_plane(array, height, width, scores, path, threshold, void)
    array.check_dtype("biuf", _IS_MASK)
    count = shape[0]
    _check_stack(array, count, height, width)
    if scores is not None and len(scores) != count:
        log.warning("%s has %d masks but %d scores; the scores are ignored.", path, count, len(scores))
        scores = None
    if count == 1 and array.dtype.kind in "iu":
        return _read_plane(array, height, width, scores, path, threshold, void)
    return _encoded(_one_by_one(array, count, height, width), scores, nested, (height, width), path, threshold)


def _without_empty_axes(shape: tuple[int, ...], size: tuple[int, int] | None) -> tuple[int, ...]:
    """The shape without surplus axes of length 1: (N, 1, H, W), or (H, W, 1) if only that fits the photo."""
    axes = list(shape)
    while len(axes) > 3 and 1 in (*axes[:-2], axes[-1]):
        place = next((place for place in range(len(axes) - 3, -1, -1) if axes[place] == 1), -1)
        del axes[place]
    if len(axes) == 3 and axes[2] == 1 and size is not None and tuple(axes[:2]) == tuple(size) != tuple(axes[1:]):
        del axes[2]
    return tuple(axes)


def _check_stack(array: _Array, count: int, height: int, width: int) -> None:
    if count > MAX_STACK or count * height * width > MAX_DRAWN:
        raise InputError(
            f"{array.name} is a stack of {count:,} masks of {width}x{height} pixels, more than the limit of "
            f"{MAX_STACK:,} masks or {MAX_DRAWN:,} pixels in total; save them as COCO JSON or a label PNG."
        )


def _encoded(
    masks: Iterable[np.ndarray],
    scores: list[float] | None,
    nested: bool,
    size: tuple[int, int],
    path: Path,
    threshold: float,
) -> Stack:
    """Masks as RLEs; those that cannot be used are skipped, and a warning names them."""
    left_out = LeftOut(str(path))
    rles: list[Rle] = []
    kept: list[float] = []
    unscored: list[str] = []
    total = logits = 0
    for place, values in enumerate(masks):
        total += 1
        called = f"mask {place + 1}"
        certain = 1.0 if scores is None else scores[place]
        mask = _without_ignored(values)
        try:
            rles.append(encode(mask, called, threshold))
            kept.append(certain if math.isfinite(certain) else 1.0)
            unscored += [f"{called} has the score {certain}"] * (not math.isfinite(certain))
            logits += are_logits(mask)
        except InputError as error:
            left_out.add(called, str(error).removeprefix(called).strip(" ."))
    if left_out.found and not rles:
        raise left_out.refuse()
    left_out.tell(total)
    if logits:
        log.info(
            "%s holds logits, numbers below and above 0; the pixels above 0 are inside%s.",
            path,
            "; if they are scores of classes, save the number of the best class, argmax(0) + 1" if logits > 1 else "",
        )
    if unscored:
        counted = "1 mask" if len(unscored) == 1 else f"{len(unscored)} masks"
        log.warning("%s: score 1 for %s without a usable score: %s.", path, counted, unscored[0])
    return Stack(rles, None if scores is None else kept, size, nested)


def _without_ignored(mask: np.ndarray) -> np.ndarray:
    """A mask of 0 and 1 without the pixels that have 255 or 65535, as training data mark those not to be counted."""
    if mask.dtype.kind not in "iu" or mask.max() not in VOIDS:
        return mask
    inside = mask == 1
    return inside if inside.any() and (inside | (mask <= 0) | (mask == mask.max())).all() else mask


def _read_plane(
    array: _Array,
    height: int,
    width: int,
    scores: list[float] | None,
    path: Path,
    threshold: float,
    void: int | None,
) -> Stack | LabelMap:
    """One plane: a label map, or a mask if its values are those of one."""
    values = _read_values(array, height, width)
    alone = len(array.shape) > 2 and array.shape[0] == 1  # a stack of one
    if array.dtype.kind == "f":
        is_mask = values.dtype.kind == "f"
    elif array.dtype.itemsize == 1 and array.dtype.kind == "u":
        is_mask = looks_like_mask(values) or (alone and values.max() <= 1)
    else:
        is_mask = alone and (values.max() <= 1 or set(np.unique(values)) <= {0, 255})
    if is_mask:
        certain = scores if scores is not None and len(scores) == 1 else None
        return _encoded([values], certain, False, (height, width), path, threshold)
    return LabelMap(without_void(values, void, path), scores)


def _one_by_one(array: _Array, count: int, height: int, width: int) -> Iterator[np.ndarray]:
    if not array.transposed:
        for _ in range(count):
            yield array.read(height, width)
        return
    if prod(array.shape) * array.dtype.itemsize > _WHOLE:
        raise InputError(
            f"{array.name} is in Fortran order and too large to be rearranged; "
            "save it as numpy.ascontiguousarray(array)."
        )
    yield from array.read(width, height, count).T


def _read_last_axis(
    array: _Array,
    scores: list[float] | None,
    nested: bool,
    size: tuple[int, int],
    path: Path,
    max_pixels: int,
    threshold: float,
    void: int | None,
) -> Stack | LabelMap:
    """Masks along the last axis, or the channels of a picture."""
    height, width, count = _without_empty_axes(array.shape, size)
    check_size((height, width), size, path, max_pixels)
    array.check_dtype("biuf", _IS_MASK)
    _check_stack(array, count, height, width)
    if array.transposed:
        planes: Iterable[np.ndarray] = (array.read(width, height).T for _ in range(count))
    elif prod(array.shape) * array.dtype.itemsize > _WHOLE:
        raise InputError(f"{array.name} has its masks along the last axis; save it as array.transpose(2, 0, 1).")
    else:
        planes = np.moveaxis(array.read(height, width, count), -1, 0)
    if count in (3, 4) and array.dtype == np.uint8:  # it may be RGB or RGBA
        planes = list(planes)
        same = all((plane == planes[0]).all() for plane in planes[1:3])
        if same or not all(np.isin(plane, (0, 1, 255)).all() for plane in planes):
            return read_pixels(np.stack(planes, axis=-1), path, threshold=threshold, void=void)
    usable = scores if scores is not None and len(scores) == count else None
    return _encoded(planes, usable, nested, (height, width), path, threshold)


def _read_values(array: _Array, height: int, width: int) -> np.ndarray:
    """(height, width) int32, or float32 if the numbers are not whole or not larger than 1.

    The largest unsigned number of 4 or 8 bytes is -1 of a signed type, and not-a-number is the void of floats: in a
    label map, both become -2, which belongs to no entity.
    """
    shape = (width, height) if array.transposed else (height, width)
    kind, largest = array.dtype.kind, np.iinfo(np.int32).max
    values = np.empty(shape, np.float32 if kind == "f" else np.int32)
    for rows in strips(*shape):
        block = array.read(*values[rows].shape)
        if kind == "u" and array.dtype.itemsize >= 4:
            block = np.where(block == np.iinfo(array.dtype).max, -2.0, block.astype(np.float64))
        elif kind == "i":
            block = np.maximum(block.astype(np.int64), -largest)
        if kind != "f" and block.max() >= largest:
            raise InputError(
                f"{array.name} holds labels up to {block.max():.0f}; give integers from 1, with 0 for no entity."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            values[rows] = block
    if kind == "f":
        values = _as_labels(values)
    return values.T if array.transposed else values


def _as_labels(values: np.ndarray) -> np.ndarray:
    """Floats as int32 if they are labels: whole numbers above 1, or not a number; otherwise as they are."""
    unknown = np.isnan(values)
    known = values[~unknown]
    least = 0 if unknown.any() else 1  # a map of 1 and not-a-number has one entity; one of 0 and 1 is a mask
    if (
        not known.size
        or not least < known.max() < 1 << 24
        or known.min() < -(1 << 24)
        or (known != np.round(known)).any()
    ):
        return values
    return np.where(unknown, -2, values).astype(np.int32)
