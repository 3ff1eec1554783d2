"""JSON about masks: which program's it is, which of its pictures is the photo, and how large that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..formats import load_json
from ..limits import MAX_PIXELS
from . import coco, cvat, label_studio, labelme, panoptic, tools, yolo
from .fields import records, shown
from .items import Item, Picture, check_any, collect
from .names import pick
from .stack import LabelMap, Stack, check_size

MAX_JSON = 1 << 31  # bytes; what JSON becomes in memory is several times as large

_ADVICE = "give COCO's, LabelMe's, Label Studio's, Supervisely's, VIA's or SAM's JSON"


def read_json(
    path: Path,
    size: tuple[int, int] | None = None,
    *,
    photo: str | Path | None = None,
    by_name: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Stack | LabelMap:
    """The masks of one picture in a JSON file; docs/formats.md says which programs' files are understood.

    Args:
        path: the file.
        size: height, width that the masks must have; without it, polygons can only be read from files that say how
            large their picture is.
        photo: path or name of the photo, which tells its masks where there are those of several pictures; see
            `names.pick`. In a list of COCO results pictures have only numbers, which are the names of COCO's photos.
        by_name: whether the masks of a single picture, too, are the photo's only if they are called like it.
        max_pixels: larger masks are refused before they are made.

    Raises:
        InputError: the file cannot be read, is malformed or too large, does not tell which masks are the photo's, they
            are of another size, or none of them can be used.
    """
    content = _load(path)
    if by_name and not _has_names(content):
        raise InputError(f'{path} does not say whose masks it holds; give a COCO file with "images".')
    if isinstance(content, Mapping) and panoptic.is_panoptic(content):
        return _read_panoptic(content, path, size, photo, by_name, max_pixels)
    return read_pictures(
        _pictures(content, str(path)), str(path), size, photo=photo, by_name=by_name, max_pixels=max_pixels
    )


def read_xml(
    path: Path,
    size: tuple[int, int] | None = None,
    *,
    photo: str | Path | None = None,
    by_name: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Stack:
    """The masks of one picture in CVAT's XML for images; as `read_json`."""
    found = cvat.read(path)
    return read_pictures(found, str(path), size, photo=photo, by_name=by_name, max_pixels=max_pixels)


def read_text(path: Path, size: tuple[int, int] | None = None, *, max_pixels: int = MAX_PIXELS) -> Stack:
    """The masks of one of YOLO's text files, which needs the photo's size; as `read_json`."""
    return read_pictures([yolo.read(path)], str(path), size, max_pixels=max_pixels)


def read_pictures(
    pictures: list[Picture],
    source: str,
    size: tuple[int, int] | None,
    *,
    photo: str | Path | None = None,
    by_name: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Stack:
    """The masks of the photo among pictures of any file; see `read_json`."""
    chosen = pictures[pick([one.names for one in pictures], photo, source, by_name=by_name)]
    items = chosen.items()
    found = _size(chosen, items, size, source)
    check_size(found, size, source, max_pixels)
    return collect(items, found, source, nested=chosen.nested)


def names_pictures(path: Path) -> bool:
    """Whether a JSON file says which picture each of its masks is of, so that it may be about several.

    COCO files do, and so do lists whose objects are about several pictures by number.

    Raises:
        InputError: the file cannot be read, or is too large or damaged.
    """
    return _has_names(_load(path))


def _load(path: Path) -> Any:
    if path.stat().st_size > MAX_JSON:
        raise InputError(f"{path} is larger than {MAX_JSON >> 30} GiB; save its masks as COCO RLE or as a label PNG.")
    content = load_json(path)
    return [content] if isinstance(content, Mapping) and label_studio.is_tasks([content]) else content


def _has_names(content: Any) -> bool:
    if isinstance(content, list):
        if label_studio.is_tasks(content) or _are_records(content):
            return True
        return len(coco.from_list(content)) > 1
    return isinstance(content, Mapping) and (
        any(key in content for key in ("images", "imagePath", "samples")) or tools.is_via(content)
    )


def _are_records(content: list[Any]) -> bool:
    """Whether a list holds pictures with annotations in them, as Detectron2's does."""
    return any("annotations" in one and "file_name" in one for one in records(content))


def _pictures(content: Any, source: str) -> list[Picture]:
    if isinstance(content, list):
        if label_studio.is_tasks(content):
            return label_studio.pictures(content)
        if _are_records(content):
            return [coco.from_record(one) for one in records(content)]
        if content and not any(isinstance(one, Mapping) for one in content):
            raise InputError(f'{source} is a list, but not of objects with a "segmentation"; {_ADVICE}.')
        return coco.from_list(content)
    if not isinstance(content, Mapping):
        raise InputError(f"{source} holds {shown(content)}, neither an object nor a list; {_ADVICE}.")
    if "images" in content:
        return coco.from_file(content, source)
    if isinstance(content.get("shapes"), list) or "imagePath" in content:
        return [labelme.picture(content)]
    if isinstance(content.get("objects"), list):
        kinds = {"imgHeight": tools.cityscapes, "size": tools.supervisely, "info": tools.isat}
        for key, read in kinds.items():
            if key in content:
                return [read(content)]
    if isinstance(content.get("annotations"), list):
        return [coco.from_record(content)]
    if isinstance(content.get("masks"), list):
        if any("segmentation" in one for one in records(content["masks"])):
            return coco.from_list(content["masks"])
        return [coco.from_columns(content)]
    if isinstance(content.get("predictions"), list):
        return [coco.from_record({"image": content.get("image"), "annotations": content["predictions"]})]
    if tools.is_via(content):
        return tools.via(content)
    if isinstance(content.get("samples"), list):
        return tools.fiftyone(content)
    if "segmentation" in content:
        return coco.from_list([content])
    raise InputError(f'{source} is not in COCO\'s format: "images" is missing; {_ADVICE}.')


def _size(picture: Picture, items: list[Item], size: tuple[int, int] | None, source: str) -> tuple[int, int]:
    """height, width of a picture: what most of its masks have, or it says, or the photo has."""
    sizes = Counter(item.size for item in items if item.size is not None)
    if size is not None and size in sizes:
        return size
    if picture.size is not None:
        return picture.size
    if not sizes:
        if size is not None:
            return size
        if not items:
            raise InputError(f"{source} holds no masks: its list is empty.")
        check_any(items, source)
        raise InputError(f"{source} holds outlines but not the size of their picture; give the photo's size (size=).")
    (first, often), *others = sizes.most_common()
    if others and others[0][1] == often and size is None:
        (h0, w0), (h1, w1) = sorted([first, others[0][0]])
        raise InputError(f"The masks in {source} must have one size, but there are {w0}x{h0} and {w1}x{h1} pixels.")
    return first


def _read_panoptic(
    content: Mapping[str, Any],
    path: Path,
    size: tuple[int, int] | None,
    photo: str | Path | None,
    by_name: bool,
    max_pixels: int,
) -> LabelMap:
    found = panoptic.pictures(content)
    picture, annotation = found[pick([one.names for one, _ in found], photo, str(path), by_name=by_name)]
    if picture.size is not None:
        check_size(picture.size, size, path, max_pixels)
    png = panoptic.png_of(annotation, path)
    labels = panoptic.read_png(png, max_pixels)
    check_size((labels.shape[0], labels.shape[1]), size, png, max_pixels)
    known = panoptic.listed(annotation)
    if known:
        ids = np.unique(labels)
        there = np.isin(ids, list(known))
        labels = np.where(there, ids, 0)[np.searchsorted(ids, labels)].astype(np.int32)
    return LabelMap(labels, None)
