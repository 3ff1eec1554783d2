"""Reads the masks of any segmenter into an EntityMap; the first bytes of a file tell its kind.

Overlapping masks are kept as RLEs until they are stacked one by one; a stack of full-size masks is never made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from logging import getLogger
from pathlib import Path

from ...pictures.listing import SUFFIXES
from ...support.checks import check_number, check_whole
from ...support.errors import Advice, InputError, Sentence
from ...support.limits import MAX_PIXELS
from ..entity_map import EntityMap
from ..layers import check_order
from ..rle import area, unpacked
from .annotations import names_pictures, read_json, read_text, read_xml
from .arrays import read_arrays
from .folder import read_folder
from .names import is_called
from .orientation import orientation_of, stored_size, turned_upright
from .pictures import read_picture
from .stack import LabelMap, Stack, WrongSize
from .yolo import looks_like_yolo

log = getLogger(__name__)

KINDS = (
    "a PNG of labels or of a mask, JSON of COCO, SAM, LabelMe or another tool, CVAT's XML, YOLO's text, .npy, .npz or "
    "a folder of PNGs"
)

PIXELS = ("auto", "upright", "stored")
# first bytes of common picture formats
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"RIFF", b"BM", b"P4\n", b"P5\n", b"P6\n")
_OTHERS = {  # first bytes of files that cannot be read: what the file is, and what to do
    b"\x1f\x8b": ("a file packed with gzip", "unpack it first"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it first"),
    b"Rar!": ("a RAR archive", "unpack it first"),
    b"\x89HDF": ("an HDF5 file", "save its masks with numpy.save"),
    b"MATLAB": ("a MATLAB file", "save its masks with numpy.save or as PNG"),
    b"PAR1": ("a Parquet table", "save the masks as COCO JSON"),
    b"%PDF": ("a PDF", "give a picture of the masks"),
    b"8BPS": ("a Photoshop file", "export each mask as a black and white PNG"),
    b"gimp xcf": ("a GIMP file", "export each mask as a black and white PNG"),
    b"v/1\x01": ("an OpenEXR picture", "save the masks as PNG"),
    b"NRRD": ("an NRRD volume", "save its masks with numpy.save"),
    b"<svg": ("an SVG drawing", "export each mask as a black and white PNG"),
}
_SUFFIXES = {  # likewise, by the suffix
    ".nii": ("a NIfTI volume", "save its masks with numpy.save"),
    ".dcm": ("a DICOM file", "save its masks with numpy.save"),
    ".csv": ("a table", "save its masks as COCO JSON"),
    ".tsv": ("a table", "save its masks as COCO JSON"),
    ".safetensors": ("a file of tensors", "save its masks with numpy.save"),
    ".mp4": ("a video", "give the masks of one photo"),
    ".mov": ("a video", "give the masks of one photo"),
    ".yaml": ("a YAML file", "give the file with the masks themselves"),
    ".yml": ("a YAML file", "give the file with the masks themselves"),
}


class Kind(Enum):
    """Kinds of files with masks."""

    FOLDER = "a folder of PNGs"
    JSON = "COCO's, SAM's or another tool's"
    XML = "CVAT's"
    TEXT = "YOLO's"
    ARRAYS = ".npy or .npz"
    LABELS = "a picture"


def read_masks(
    path: str | Path,
    size: tuple[int, int] | None = None,
    *,
    photo: str | Path | None = None,
    by_name: bool = False,
    max_pixels: int = MAX_PIXELS,
    may_be_empty: bool = False,
    order: str | None = None,
    threshold: float = 0.5,
    void: int | None = None,
    pixels: str = "auto",
) -> EntityMap:
    """Reads the masks of a photo that any segmenter, annotation tool or paint program made.

    - Pictures: a label map, with a number per pixel, 0 = no entity; one mask in black and white, possibly with soft
      edges; or uniform areas of colour, as in COCO's panoptic PNGs. The content decides; see `pictures.read_picture`.
    - JSON: COCO's (polygons, RLE in any notation), SA-1B's and SAM's lists, COCO's results and panoptic files, those of
      Detectron2, MMDetection, LabelMe, Label Studio, Supervisely, Cityscapes, VIA, ISAT, FiftyOne and others.
    - CVAT's XML for images, and YOLO's text files with outlines.
    - .npy and .npz: a stack of masks, or a label map; see `arrays.read_arrays` for shapes and names.
    - A folder of black and white PNGs, one per mask, see `folder.read_folder`; or of one file per photo, with the
      photo's name.

    docs/formats.md describes them in detail. A pixel belongs to a polygon if its centre is inside, by the even-odd
    rule; (0, 0) is the outer corner of the picture. Unusable masks are skipped, and a warning in the log counts and
    names them; it is an error only if no mask is left. Masks without a pixel do not get an id. The score is "score",
    otherwise SAM's predicted_iou, otherwise 1.

    Args:
        path: the file or folder.
        size: height, width of the photo; masks of another size are refused, never resized.
        photo: the photo's path or name, by which its masks are found in a file about several pictures. If it is a
            file, its EXIF data says whether masks of its stored pixels must be rotated.
        by_name: whether even a single picture must have the photo's name, for a file about one of several photos;
            `tells_photos_apart` says which files can.
        max_pixels: larger pictures are refused; `stack` limits all masks together.
        may_be_empty: whether to return a map without entities, and log that, if there are no masks.
        order: which of several overlapping masks is on top, as in `EntityMap.from_masks`: "score", "smaller", "larger",
            "first", "last", or "whole", which keeps only whole objects of nested masks. None: "smaller" for SAM's
            masks, whose parts lie within wholes, otherwise "score". Layers in the file (CVAT, Cityscapes) come first.
            Overlaps are logged, as a warning if masks are hidden by others.
        threshold: fraction of white, 0 to 1, above which a pixel of a soft mask is inside.
        void: another label that belongs to no entity; None: 255 or 65535 if it is a border or marks pixels that do not
            count, as in PASCAL VOC; -1: no other label.
        pixels: whether the masks fit the photo "upright", as people see it, or its pixels as "stored", if EXIF rotates
            it. "auto": as their size says, otherwise upright, with a warning.

    Returns:
        A map of at least one entity, unless it may be empty.

    Raises:
        InputError: the path is not a path, does not exist or is of another kind; the file is damaged or too large, or
            does not hold usable masks of this photo; their size is not that of the photo; or an option is wrong.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/masks.npy", np.array([[[True, False]], [[False, True]]]))  # two masks
    ...     read_masks(f"{folder}/masks.npy").labels.tolist()
    [[1, 2]]
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"Masks are read from the path of a file or folder, not from a {type(path).__name__}.")
    _check_options(order, threshold, void, pixels)
    path = Path(path)
    with _named(path):
        source = _file_of_photo(path, photo, by_name)

        def read(wanted: tuple[int, int] | None) -> Stack | LabelMap:
            if source != path and _is_empty(source):
                return Stack([], None, wanted or (1, 1))
            return _read(source, wanted, photo, by_name and source == path, max_pixels, threshold, void)

        found, turn = _read_turned(read, size, photo, pixels, source)
        entities = _as_entities(found, order, source)
        if turn != 1:
            entities = EntityMap(turned_upright(entities.labels, turn), entities.scores, entities.names)
    if not len(entities):
        whose = f" of {Path(photo).name}" if photo is not None else ""
        nothing = f"{path} does not hold any masks{whose}: no pixel belongs to an entity."
        if not may_be_empty:
            raise InputError(nothing)
        log.info(nothing)
    return entities


def kind_of(path: str | Path) -> Kind:
    """The kind of a mask file or folder, by its first bytes, otherwise by its suffix; a quick check before long work.

    Raises:
        InputError: the path does not exist, cannot be read, or is of another kind.
    """
    path = Path(path)
    if os.path.isdir(path):  # which does not raise, as Path.is_dir may
        return Kind.FOLDER
    head = _head(path)
    suffix = path.suffix.lower()
    bare = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if bare.startswith(b"version https://git-lfs"):
        raise InputError(f"{path} is a pointer of Git LFS; get the file itself with `git lfs pull`.")
    if bare.lower().startswith((b"<!doctype html", b"<html")):
        raise InputError(f"{path} is a web page; download the file of masks itself.")
    if head.startswith(_PICTURES):
        return Kind.LABELS
    for magic, (what, advice) in _OTHERS.items():
        if head.startswith(magic):
            raise _not_read(path, what, advice)
    if head[:1] == b"\x80" or (suffix in (".pkl", ".pickle", ".pth", ".pt") and not bare.startswith((b"{", b"["))):
        raise InputError(
            f"{path} is a pickle, which is not read because it could run programs; save the masks as COCO JSON."
        )
    if bare.startswith((b"{", b"[")) or suffix == ".json":
        return Kind.JSON
    if bare.startswith(b"<") or suffix == ".xml":
        return Kind.XML
    if head.startswith((b"PK", b"\x93NUMPY")) or suffix in (".npy", ".npz"):
        return Kind.ARRAYS
    if suffix in SUFFIXES:
        return Kind.LABELS
    if suffix in _SUFFIXES:
        raise _not_read(path, *_SUFFIXES[suffix])
    if looks_like_yolo(head):
        return Kind.TEXT
    raise InputError(f"{path} is not a mask file that ESG can read; give {KINDS}.")


def _not_read(path: Path, what: str, advice: str) -> InputError:
    return InputError(f"{path} is {what}, which ESG does not read; {advice}.")


def tells_photos_apart(path: str | Path, photos: Iterable[str | Path] = ()) -> bool:
    """Whether a file says which photo each of its masks belongs to, as COCO's does, so it may be about several.

    A folder does if it has a file with the name of one of the `photos`.

    Raises:
        InputError: the path does not exist, is not a mask file, or is damaged JSON.
    """
    kind = kind_of(path)
    if kind is Kind.FOLDER:
        return any(_in_folder(Path(path), photo, pictures=True) for photo in photos)
    return kind is Kind.XML or (kind is Kind.JSON and names_pictures(Path(path)))


def _check_options(order: str | None, threshold: float, void: int | None, pixels: str) -> None:
    if order is not None:
        check_order(order)
    check_number("threshold", threshold, 0, 1)
    if void is not None:
        check_whole("void", void, -1)
    if pixels not in PIXELS:
        raise InputError(f"pixels is one of {', '.join(PIXELS)}, not {pixels!r}.")


def _file_of_photo(path: Path, photo: str | Path | None, by_name: bool) -> Path:
    """The file itself; or the file in a folder that has the photo's name."""
    if photo is None or not os.path.isdir(path):
        return path
    # If there is only one photo, a picture with its name may be one of its masks.
    return _in_folder(path, photo, pictures=by_name) or path


def _in_folder(folder: Path, photo: str | Path, *, pictures: bool) -> Path | None:
    """The annotation file in a folder with the photo's name; otherwise, if `pictures`, such a picture or array."""
    try:
        files = sorted(one for one in folder.iterdir() if one.is_file() and not one.name.startswith("."))
    except OSError:
        return None
    called = [one for one in files if is_called(one.name, photo)]
    called.sort(key=lambda one: one.stem != Path(photo).stem)
    texts = [one for one in called if one.suffix.lower() in (".json", ".xml") or _is_yolo(one)]
    others = [one for one in called if one.suffix.lower() in (".png", ".npy", ".npz")] if pictures else []
    return next(iter([*texts, *others]), None)


def _is_yolo(path: Path) -> bool:
    if path.suffix.lower() != ".txt":
        return False
    if _is_empty(path):
        return True
    try:
        return looks_like_yolo(_head(path))
    except InputError:
        return False


def _is_empty(path: Path) -> bool:
    """Whether a file is empty, as YOLO's text is for a photo without objects."""
    return os.path.isfile(path) and not os.path.getsize(path)


def _read_turned(
    read: Callable[[tuple[int, int] | None], Stack | LabelMap],
    size: tuple[int, int] | None,
    photo: str | Path | None,
    pixels: str,
    path: Path,
) -> tuple[Stack | LabelMap, int]:
    """The contents of a file, and the EXIF orientation by which they must be rotated; 1 is upright."""
    turn = 1 if photo is None or pixels == "upright" else orientation_of(photo)
    if turn == 1:
        return read(size), 1
    stored = None if size is None else stored_size(size, turn)
    if pixels == "stored":
        return read(stored), turn
    try:
        found = read(size)
    except WrongSize as error:
        if error.found != stored:
            raise
        log.info("%s holds masks of the photo's stored pixels; ESG rotates them upright, as EXIF says.", path)
        return read(stored), turn
    if size == stored:
        log.warning(
            Sentence(
                f"{path}: EXIF rotates the photo, and the masks fit it either way; ESG takes them as masks of the "
                "upright photo.",
                Advice.STORED_PIXELS,
            )
        )
    return found, 1


def _read(
    path: Path,
    size: tuple[int, int] | None,
    photo: str | Path | None,
    by_name: bool,
    max_pixels: int,
    threshold: float,
    void: int | None,
) -> Stack | LabelMap:
    kind = kind_of(path)
    if kind is Kind.JSON:
        return read_json(path, size, photo=photo, by_name=by_name, max_pixels=max_pixels)
    if kind is Kind.XML:
        return read_xml(path, size, photo=photo, by_name=by_name, max_pixels=max_pixels)
    if by_name:
        raise InputError(f"{path} does not say which photo its masks belong to; give a COCO file.")
    if kind is Kind.TEXT:
        return read_text(path, size, max_pixels=max_pixels)
    if kind is Kind.FOLDER:
        return read_folder(path, size, max_pixels=max_pixels, threshold=threshold)
    if kind is Kind.ARRAYS:
        return read_arrays(path, size, max_pixels=max_pixels, threshold=threshold, void=void)
    return read_picture(path, size, max_pixels=max_pixels, threshold=threshold, void=void)


def _head(path: Path) -> bytes:
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe or a device may never end
        raise InputError(f"{path} is a pipe or a device, not a file; give {KINDS}.")
    try:
        with path.open("rb") as file:
            head = file.read(256)
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
    """Puts the file's name in front of messages without it."""
    try:
        yield
    except InputError as error:
        text = str(error)
        if str(path) in text:
            raise
        raise InputError(f"{path}: {text[0].lower()}{text[1:]}") from None


def _as_entities(found: Stack | LabelMap, order: str | None, path: Path) -> EntityMap:
    if isinstance(found, LabelMap):
        return EntityMap.from_labels(*found)
    order = order or ("smaller" if found.nested else "score")
    masks = [unpacked(mask) for mask in found.rles]
    entities = EntityMap.from_masks(
        masks, found.scores, size=found.size, order=order, layers=found.layers, names=found.names
    )
    areas = [area(mask) for mask in masks]
    if sum(areas) <= entities.areas.sum():
        return entities
    rule = f"masks overlap, and {_RULES[order]}" if found.layers is None else "masks overlap, and the upper layer wins"
    hidden = sum(pixels > 0 for pixels in areas) - len(entities)
    if not hidden:
        log.info("%s: %s.", path, rule)
    elif order == "whole":
        log.info("%s: %d of %d masks are parts of others and are left out.", path, hidden, len(areas))
    else:
        log.warning(
            Sentence(
                f"{path}: {rule}; {hidden} of {len(areas)} masks are hidden entirely and left out.",
                None if order == "smaller" else Advice.SMALLER_ON_TOP,
            )
        )
    return entities


_RULES = {
    "score": "the highest score wins, then the smallest mask",
    "smaller": "the smallest mask wins",
    "larger": "the largest mask wins",
    "first": "the first mask wins",
    "last": "the last mask wins",
    "whole": "only whole objects are kept",
}
