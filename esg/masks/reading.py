"""One way in for the masks of any segmenter: what a file is, its first bytes say; what comes out is an EntityMap.

Overlapping masks are kept as RLEs until they are laid over each other one by one; a stack of full-size masks is never
made.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from logging import getLogger
from pathlib import Path

from ..entities import EntityMap
from ..errors import InputError
from ..limits import MAX_PIXELS
from ..naming import SUFFIXES
from ..rle import area
from .annotations import names_pictures, read_json
from .arrays import read_arrays
from .folder import read_folder
from .stack import LabelMap, Stack, check_size

log = getLogger(__name__)

KINDS = "a label PNG, COCO JSON, SAM's JSON, .npy, .npz or a folder of PNGs"


class Kind(Enum):
    """What masks are kept in."""

    FOLDER = "a folder of PNGs"
    JSON = "COCO's, SA-1B's or SAM's"
    ARRAYS = ".npy or .npz"
    LABELS = "a label PNG"


def read_masks(
    path: str | Path,
    size: tuple[int, int] | None = None,
    *,
    photo: str | Path | None = None,
    by_name: bool = False,
    max_pixels: int = MAX_PIXELS,
    may_be_empty: bool = False,
) -> EntityMap:
    """Reads the masks that any segmenter made of a photo.

    - A grey or palette PNG of 8 or 16 bits: a pixel (of a palette: its index) is the label, 0 = none. Scores are those
      that ESG leaves in its own label PNGs.
    - COCO JSON: RLE, compressed or not, or polygons. A pixel belongs to a polygon when its centre does, (0, 0) being
      the outer corner of the picture, by the even-odd rule; the polygons of one annotation are united. (COCO's own
      tools also count some pixels that an outline only touches.) Also a file of SA-1B and a list of COCO results.
    - SAM's automatic masks as JSON: a list of {"segmentation": RLE or rows of 0 and 1, "predicted_iou": score, …}.
    - .npy and .npz: a stack of masks, or a label map; see `arrays.read_arrays` for shapes and names.
    - A folder of black and white PNGs, one a mask; see `folder.read_folder`.

    Masks with soft edges are cut at half. Where masks overlap, a pixel goes to the one with the higher score, at equal
    scores to the smaller and then to the first one, as in `EntityMap.from_masks`; that is logged once, at level INFO.
    Scores are "score", else SAM's predicted_iou, else 1. Masks without a pixel get no id.

    Args:
        path: the file or folder.
        size: height, width of the photo; masks of another size are refused, never resized.
        photo: the photo's path or name, by which its masks are found in a file about several pictures.
        by_name: whether the masks of a single picture, too, are taken only if the file says that they are the photo's,
            as is right where one of several photos is meant; `tells_photos_apart` says which files can.
        max_pixels: larger pictures are refused, and stacks of masks with 100 times as many pixels in all.
        may_be_empty: whether a map without entities is given where there are no masks, or none has a pixel; that is
            logged at level INFO.

    Returns:
        A map of at least one entity, unless it may be empty.

    Raises:
        InputError: the path is none, does not exist or is of no such kind, the file is damaged or too large, has no
            masks or none of this photo, masks differ in size from each other or from the photo, a score is not finite,
            or an annotation's id occurs twice.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"Masks are read from the path of a file or folder, not from a {type(path).__name__}.")
    path = Path(path)
    with _named(path):
        found = _read(path, size, photo, by_name, max_pixels)
        if isinstance(found, Stack):
            entities = _lay_over_each_other(found, path)
        elif isinstance(found, LabelMap):
            entities = EntityMap.from_labels(*found)
        else:
            entities = found
    if not len(entities):
        whose = f" of {Path(photo).name}" if photo is not None else ""
        nothing = f"{path} holds no masks{whose}: not one pixel belongs to an entity."
        if not may_be_empty:
            raise InputError(nothing)
        log.info(nothing)
    return entities


def kind_of(path: str | Path) -> Kind:
    """What a file or folder of masks is, by its first bytes, else by its suffix; before long work, whether it is there.

    Raises:
        InputError: the path does not exist, cannot be read, or is of no such kind.
    """
    path = Path(path)
    if os.path.isdir(path):  # which does not raise, as Path.is_dir may
        return Kind.FOLDER
    head = _head(path)
    suffix = path.suffix.lower()
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"[")) or suffix == ".json":
        return Kind.JSON
    if head.startswith((b"PK", b"\x93NUMPY")) or suffix in (".npy", ".npz"):
        return Kind.ARRAYS
    if head.startswith(b"\x89PNG") or suffix in SUFFIXES:
        return Kind.LABELS
    raise InputError(f"{path} is no file of masks that can be read ({KINDS}).")


def tells_photos_apart(path: str | Path) -> bool:
    """Whether a file says which photo each of its masks is of, as some JSON does, so that it may be about several.

    Raises:
        InputError: the path does not exist, is of no kind that can be read, or is damaged JSON.
    """
    return kind_of(path) is Kind.JSON and names_pictures(Path(path))


def _read(
    path: Path, size: tuple[int, int] | None, photo: str | Path | None, by_name: bool, max_pixels: int
) -> Stack | LabelMap | EntityMap:
    kind = kind_of(path)
    if kind is Kind.JSON:
        return read_json(path, size, photo=photo, by_name=by_name, max_pixels=max_pixels)
    if by_name:
        raise InputError(f"{path} does not say whose masks it holds; give a COCO file.")
    if kind is Kind.FOLDER:
        return read_folder(path, size, max_pixels=max_pixels)
    if kind is Kind.ARRAYS:
        return read_arrays(path, size, max_pixels=max_pixels)
    entities = EntityMap.from_labels_png(path, max_pixels=max_pixels)
    check_size((entities.height, entities.width), size, path, max_pixels)
    return entities


def _head(path: Path) -> bytes:
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe or a device may have no end
        raise InputError(f"{path} is no file; give {KINDS}.")
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read: {reason.lower()}.") from None
    if not head:
        raise InputError(f"{path} is empty.")
    return head


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Puts the file's name before sentences that do not have it."""
    try:
        yield
    except InputError as error:
        text = str(error)
        if str(path) in text:
            raise
        raise InputError(f"{path}: {text[0].lower()}{text[1:]}") from None


def _lay_over_each_other(stack: Stack, path: Path) -> EntityMap:
    for number, score in enumerate(stack.scores or [], start=1):
        if not math.isfinite(score):
            raise InputError(f"{path}: mask {number} has the score {score}; scores must be finite numbers.")
    entities = EntityMap.from_masks(stack.rles, stack.scores, size=stack.size)
    areas = [area(mask) for mask in stack.rles]
    if sum(areas) > entities.areas.sum():
        hidden = sum(pixels > 0 for pixels in areas) - len(entities)
        log.info(
            "%s: masks overlap; there the highest score wins, and at equal scores the smallest mask%s.",
            path,
            f"; {hidden} of {len(areas)} masks are hidden entirely and left out" if hidden else "",
        )
    return entities
