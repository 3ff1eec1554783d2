"""Masks and label maps in numpy files, read from the file one mask at a time; pickles are never executed."""

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
from .pictures import looks_like_mask, without_void
from .stack import MAX_DRAWN, LabelMap, Stack, check_size, encode

log = getLogger(__name__)

MAX_STACK = 10_000  # masks; more are a label map, or a mistake
_SAMS = ("predicted_iou", "iou_predictions", "iou_scores")  # SAM's own scores, by which nested masks are told
_SCORES = ("scores", "score", *_SAMS)  # names of arrays in a .npz file
_MASKS = ("masks", "labels", "mask", "pred_masks", "segmentation", "segments")  # of which the first one counts
_NO_MASKS = (*_SCORES, "boxes", "bboxes", "bbox")
_PIECE = 1 << 16  # bytes of a packed array that are read at once
_CHECKED = 1 << 28  # bytes of an array up to which its checksum is looked at, which takes as long as unpacking it
_WHOLE = 1 << 30  # bytes of a stack in Fortran order, whose masks do not lie one after the other
_READ_ERRORS = (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, RuntimeError)


def read_arrays(
    path: Path,
    size: tuple[int, int] | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
    threshold: float = 0.5,
    void: int | None = None,
) -> Stack | LabelMap:
    """The masks of a .npy or .npz file; what it may hold of pickles is never executed.

    An array of shape (N, H, W) is a stack of masks, and so is one of (H, W, N) if only that fits the photo. One of
    shape (H, W) is a label map of whole numbers, or a single mask of bools or soft values. Further axes of length 1, as
    in the (N, 1, H, W) of SAM's predictor, do no harm. In a label map with -1, that belongs to nothing, and 0 is an
    entity. Of a .npz the array `masks` is taken, else `labels` or another usual name, else the only one that has two
    dimensions or more and is not called `boxes`, or that fits the photo; and the scores from `scores`, if any.

    Args:
        path: the file.
        size: height, width that the masks must have.
        max_pixels: larger masks are refused before they are read, and so are stacks of more than `MAX_STACK` masks or
            `MAX_DRAWN` pixels in all.
        threshold: part of white above which a pixel of a soft mask is inside.
        void: label that belongs to nothing, as in `pictures.read_picture`.

    Raises:
        InputError: the file is damaged or too large, or holds no masks that can be used.
    """
    try:
        with ExitStack() as close:
            file = close.enter_context(path.open("rb"))
            zipped = file.read(2) == b"PK"
            file.seek(0)
            if not zipped:
                return _read_masks(_Array(file, str(path)), None, False, size, path, max_pixels, threshold, void)
            archive = close.enter_context(zipfile.ZipFile(file))
            name, scores, nested = _pick_arrays(archive, size, path)
            with _opened(archive, f"{name}.npy", file) as member:
                array = _Array(member, f"The array {name} of {path}")
                return _read_masks(array, scores, nested, size, path, max_pixels, threshold, void)
    except _READ_ERRORS as error:
        reason = str(error).rstrip(".").replace("\n", " ") or type(error).__name__
        raise InputError(f"{path} is damaged or incomplete ({reason}).") from None


class _Inflated(RawIOBase):
    """What a deflated member of a zip file holds, read in pieces of any size.

    zipfile does that, too, but takes twice the time: it unpacks 4 KiB at a time, and a stack of masks is a thousand
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
            zipfile.BadZipFile: the checksum of all that was read is wrong.
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
    """A member of a zip file that is open as `file`."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_DEFLATED or member.flag_bits & 1:  # not packed, or encrypted
        return archive.open(name)
    with archive.open(name):  # which checks the header before it
        file.seek(member.header_offset + 26)
    lengths = struct.unpack("<HH", file.read(4))
    file.seek(sum(lengths), 1)
    return cast(IO[bytes], _Inflated(file, member.compress_size, member.file_size, member.CRC))


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


def _pick_arrays(
    archive: zipfile.ZipFile, size: tuple[int, int] | None, path: Path
) -> tuple[str, list[float] | None, bool]:
    """The name of the array of masks, their scores, and whether they are SAM's."""
    found = {}
    for member in archive.namelist():
        if member.endswith(".npy"):
            with archive.open(member) as stream:
                found[member[:-4]] = _Array(stream, f"The array {member[:-4]} of {path}")
    planes = [name for name, array in found.items() if len(array.shape) >= 2 and name not in _NO_MASKS]
    if not found:
        raise InputError(f"{path} holds no numpy arrays{_what_it_is(archive)}.")
    known = [name for name in _MASKS if name in planes or (name == "masks" and name in found)]
    fitting = [name for name in planes if size is not None and found[name].shape[-2:] == tuple(size)]
    if known:
        name = known[0]
    elif len(planes) == 1:
        (name,) = planes
    elif len(fitting) == 1:
        (name,) = fitting
    else:
        raise InputError(
            f'{path} has no array called "masks" (number of masks, height, width) or "labels" (height, width), '
            f"only {', '.join(found)}."
        )
    keys = [key for key in _SCORES if key in found]
    return name, _read_scores(archive, keys[0], path) if keys else None, bool(keys) and keys[0] in _SAMS


def _what_it_is(archive: zipfile.ZipFile) -> str:
    """What a zip file is instead, as the end of a sentence."""
    names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        return "; it is a file of PyTorch, which is not read as it could run programs"
    return "; unpack it, and give the file or folder of masks in it" if names else ""


def _read_scores(archive: zipfile.ZipFile, key: str, path: Path) -> list[float] | None:
    with archive.open(f"{key}.npy") as stream:
        array = _Array(stream, f"The array {key} of {path}")
        if array.dtype.kind not in "fiu":
            log.warning("%s holds %s and not numbers; the scores are left out.", array.name, array.dtype)
            return None
        if prod(array.shape) > 1 << 24 or prod(array.shape) != max(array.shape, default=1):
            raise InputError(f"{array.name} has the shape {array.shape}; it must hold one score a mask.")
        return array.read(prod(array.shape)).astype(np.float64).tolist()


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
            f"{array.name} holds Python objects (a pickle), which are not read as they could run programs; "
            f"save the masks as a plain array of shape (number of masks, height, width)."
        )
    shape = _without_empty_axes(array.shape, size)
    if len(shape) not in (2, 3):
        raise InputError(
            f"{array.name} has the shape {array.shape}; masks have (number of masks, height, width), "
            f"a label map has (height, width)."
        )
    if size is not None and len(shape) == 3 and shape[:2] == tuple(size) != shape[1:]:
        return _read_last_axis(array, scores, nested, size, path, max_pixels, threshold)
    height, width = shape[-2:]
    check_size((height, width), size, path, max_pixels)
    if len(shape) == 2:
        array.check_dtype("biuf", "labels are whole numbers and masks from 0 to 1")
        return _read_plane(array, height, width, scores, path, threshold, void)
    array.check_dtype("biuf", "masks are bool, 0 and 1 or 0 and 255")
    count = shape[0]
    _check_stack(array, count, height, width)
    if scores is not None and len(scores) != count:
        log.warning("%s has %d masks but %d scores; the scores are left out.", path, count, len(scores))
        scores = None
    if count == 1 and array.dtype.kind in "iu":
        return _read_plane(array, height, width, scores, path, threshold, void)
    return _encoded(_one_by_one(array, count, height, width), scores, nested, (height, width), path, threshold)


def _without_empty_axes(shape: tuple[int, ...], size: tuple[int, int] | None) -> tuple[int, ...]:
    """The shape without axes of length 1 that are too many: (N, 1, H, W), or (H, W, 1) if only that fits the photo."""
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
            f"{MAX_STACK:,} masks or {MAX_DRAWN:,} pixels in all; save them as COCO JSON or a label PNG."
        )


def _encoded(
    masks: Iterable[np.ndarray],
    scores: list[float] | None,
    nested: bool,
    size: tuple[int, int],
    path: Path,
    threshold: float,
) -> Stack:
    """Masks as RLEs; those that cannot be used are left out and named."""
    left_out = LeftOut(str(path))
    rles: list[Rle] = []
    kept: list[float] = []
    unscored: list[str] = []
    total = 0
    for place, mask in enumerate(masks):
        total += 1
        called = f"mask {place + 1}"
        certain = 1.0 if scores is None else scores[place]
        try:
            rles.append(encode(mask, called, threshold))
            kept.append(certain if math.isfinite(certain) else 1.0)
            unscored += [f"{called} has the score {certain}"] * (not math.isfinite(certain))
        except InputError as error:
            left_out.add(called, str(error).removeprefix(called).strip(" ."))
    if left_out.found and not rles:
        raise left_out.refuse()
    left_out.tell(total)
    if unscored:
        log.warning("%s: %d masks without a usable score have the score 1: %s.", path, len(unscored), unscored[0])
    return Stack(rles, None if scores is None else kept, size, nested)


def _read_plane(
    array: _Array,
    height: int,
    width: int,
    scores: list[float] | None,
    path: Path,
    threshold: float,
    void: int | None,
) -> Stack | LabelMap:
    """One plane: a label map of whole numbers, or what is a mask by its values."""
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
    if array.dtype.itemsize == 1:
        values = without_void(values, void, path)
    return LabelMap(values, scores)


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


def _read_last_axis(
    array: _Array,
    scores: list[float] | None,
    nested: bool,
    size: tuple[int, int],
    path: Path,
    max_pixels: int,
    threshold: float,
) -> Stack:
    """Masks along the last axis, which only fit the photo that way."""
    height, width, count = _without_empty_axes(array.shape, size)
    check_size((height, width), size, path, max_pixels)
    array.check_dtype("biuf", "masks are bool, 0 and 1 or 0 and 255")
    _check_stack(array, count, height, width)
    if array.transposed:
        planes: Iterable[np.ndarray] = (array.read(width, height).T for _ in range(count))
    elif prod(array.shape) * array.dtype.itemsize > _WHOLE:
        raise InputError(f"{array.name} has its masks along the last axis; save it as array.transpose(2, 0, 1).")
    else:
        planes = np.moveaxis(array.read(height, width, count), -1, 0)
    usable = scores if scores is not None and len(scores) == count else None
    return _encoded(planes, usable, nested, (height, width), path, threshold)


def _read_values(array: _Array, height: int, width: int) -> np.ndarray:
    """(height, width) int32, or float32 where they are no whole numbers or none above 1."""
    shape = (width, height) if array.transposed else (height, width)
    floats = array.dtype.kind == "f"
    values = np.empty(shape, np.float32 if floats else np.int32)
    for rows in strips(*shape):
        block = array.read(*values[rows].shape)
        if not floats and (block.min() < -1 or block.max() >= np.iinfo(np.int32).max):
            raise InputError(
                f"{array.name} holds labels from {block.min()} to {block.max()}; "
                "give whole numbers from 1, with 0 for what belongs to nothing."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            values[rows] = block
    whole = floats and 1 < values.max() < 1 << 24 and values.min() >= -1 and bool((values == np.round(values)).all())
    if whole:
        values = values.astype(np.int32)
    if values.dtype.kind == "i" and values.min() < 0:
        log.info("%s holds labels from -1; that is taken as nothing, and 0 as an entity.", array.name)
        values += 1
    return values.T if array.transposed else values
