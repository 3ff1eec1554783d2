"""JSON with masks: recognises the program that wrote it, and finds the photo among its pictures, and its size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...support.errors import InputError
from ...support.limits import MAX_PIXELS
from ..files import load_json
from . import coco, cvat, exports, kili, label_studio, labelbox, labelme, panoptic, tools, yolo
from .fields import mapping, records, shown
from .items import Item, Picture, check_any, collect
from .names import pick
from .stack import LabelMap, Stack, check_size

MAX_JSON = 1 << 31  # bytes; in memory, JSON takes several times as much

_DEPTH = 4  # levels of other data around annotations
_NAMED = 6  # keys named in a message
_TOOLS = {  # keys of files without masks that can be read: what they are, and what to do
    ("source-ref",): ("a manifest of SageMaker Ground Truth", "give the PNG of the masks that it names"),
    ("CustomLabels",): ("the answer of Amazon Rekognition, which has boxes and no masks", "give a file with masks"),
    ("imageGcsUri",): ("Vertex AI's, which has boxes and no masks", "give a file with masks"),
    ("nodes", "links"): ("a ComfyUI workflow", "give the masks that it makes"),
    ("last_node_id",): ("a ComfyUI workflow", "give the masks that it makes"),
}
_ADVICE = "give COCO's, LabelMe's, Label Studio's, Datumaro's, VIA's, SAM's JSON or GeoJSON"


def read_json(
    path: Path,
    size: tuple[int, int] | None = None,
    *,
    photo: str | Path | None = None,
    by_name: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Stack | LabelMap:
    """Reads the masks of one picture in a JSON file; docs/formats.md lists the programs.

    Args:
        path: the file.
        size: height, width that the masks must have; without it, polygons can only be read from files that contain
            the size of their picture.
        photo: path or name of the photo, by which its masks are found in a file about several pictures; see
            `names.pick`. In a list of COCO results, pictures have only numbers, which are the names of COCO's photos.
        by_name: whether even a single picture must have the photo's name.
        max_pixels: larger masks are refused before they are made.

    Raises:
        InputError: the file cannot be read, is malformed or too large, does not say which masks are the photo's, their
            size is wrong, or none of them can be used.
    """
    content = _load(path)
    if by_name and not _has_names(content):
        raise InputError(f'{path} does not say which photo its masks belong to; give a COCO file with "images".')
    if isinstance(content, Mapping) and panoptic.is_panoptic(content):
        return _read_panoptic(content, path, size, photo, by_name, max_pixels)
    if size is not None and (labels := _plain_array(content, size)) is not None:
        return LabelMap(labels, None)
    return read_pictures(
        _pictures(content, str(path)), str(path), size, photo=photo, by_name=by_name, max_pixels=max_pixels
    )


def _plain_array(content: Any, size: tuple[int, int]) -> np.ndarray | None:
    """Rows of integers, one per pixel of the photo, as a label map; None for anything else."""
    if not isinstance(content, list) or len(content) != size[0]:
        return None
    if not all(isinstance(row, list) and len(row) == size[1] for row in content):
        return None
    numbers = all(isinstance(one, int) and 0 <= one < 1 << 24 for row in content for one in row)
    return np.array(content, np.int32) if numbers else None


def read_xml(
    path: Path,
    size: tuple[int, int] | None = None,
    *,
    photo: str | Path | None = None,
    by_name: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Stack:
    """Reads the masks of one picture in CVAT's XML for images, like `read_json`."""
    found = cvat_pictures(path)
    return read_pictures(list(found), str(path), size, photo=photo, by_name=by_name, max_pixels=max_pixels)


def cvat_pictures(path: Path) -> tuple[Picture, ...]:
    """The pictures of CVAT's XML; the last file is remembered, because it may be about thousands of photos.

    Raises:
        InputError: the file cannot be read, or is not CVAT's XML for images.
    """
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        changed = 0  # the reader says why
    return _cvat_pictures(path, changed)


@lru_cache(maxsize=1)
def _cvat_pictures(path: Path, changed: int) -> tuple[Picture, ...]:
    return tuple(cvat.read(path))


def class_names(path: Path) -> tuple[str, ...]:
    """The names of the classes in a JSON or XML file of masks, in the order of their first use.

    Raises:
        InputError: the file cannot be read, or has an unknown format.
    """
    if path.suffix.lower() == ".xml":
        pictures = cvat_pictures(path)
    else:
        content = _load(path)
        if isinstance(content, Mapping) and panoptic.is_panoptic(content):
            return ()
        pictures = tuple(_pictures(content, str(path)))
    return tuple(dict.fromkeys(item.name for one in pictures for item in one.items() if item.name))


def read_text(path: Path, size: tuple[int, int] | None = None, *, max_pixels: int = MAX_PIXELS) -> Stack:
    """Reads the masks of a YOLO text file, which needs the photo's size, like `read_json`."""
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
    """The masks of the photo among the pictures of a file; see `read_json`."""
    chosen = pictures[pick([one.names for one in pictures], photo, source, by_name=by_name)]
    items = chosen.items()
    found = _size(chosen, items, size, source)
    check_size(found, size, source, max_pixels)
    return collect(items, found, source, nested=chosen.nested)


def names_pictures(path: Path) -> bool:
    """Whether a JSON file says which picture each of its masks belongs to, so it may be about several.

    COCO files do, and so do lists whose objects give the numbers or names of several pictures.

    Raises:
        InputError: the file cannot be read, or is too large or damaged.
    """
    return _has_names(_load(path))


def _load(path: Path) -> Any:
    if path.stat().st_size > MAX_JSON:
        raise InputError(f"{path} is larger than {MAX_JSON >> 30} GiB; save its masks as COCO RLE or as a label PNG.")
    content = _unwrapped(load_json(path), str(path))
    return [content] if isinstance(content, Mapping) and label_studio.is_tasks([content]) else content


def _unwrapped(content: Any, source: str) -> Any:
    """Annotations without a wrapper around them, such as the answer of a server; anything else unchanged."""
    found = content
    for _ in range(_DEPTH):
        if isinstance(found, Mapping) and label_studio.is_tasks([found]):
            return found
        if not (isinstance(found, list) and _is_wrapper(found)) and _read(found, source) is not None:
            return found
        values = found if isinstance(found, list) else list(found.values()) if isinstance(found, Mapping) else []
        inner = [one for one in values if isinstance(one, Mapping) or (isinstance(one, list) and any(records(one)))]
        if len(inner) != 1:
            break
        found = inner[0]
    return content


def _is_wrapper(content: list[Any]) -> bool:
    """Whether a list has a single object that is neither a mask nor a picture with masks, but may contain some."""
    if len(content) != 1 or not isinstance(content[0], Mapping) or not content[0]:
        return False
    return not (_are_masks(content) or exports.has_masks(content[0]) or label_studio.is_tasks(content))


def _has_names(content: Any) -> bool:
    if isinstance(content, list):
        if label_studio.is_tasks(content) or any(_has_own_name(one) for one in records(content)):
            return True
        if any(exports.has_masks(one) and exports.picture(one).names for one in records(content)):
            return True
        return _are_masks(content) and len(coco.from_list(content)) > 1
    if not isinstance(content, Mapping):
        return False
    if any(key in content for key in ("imagePath", "samples")) or _has_own_name(content) or tools.is_via(content):
        return True
    if exports.has_masks(content) and ("metadata" in content or "asset" in content):  # SuperAnnotate, VoTT
        return bool(exports.picture(content).names)
    return any(one.names for one in exports.pictures(content))


def _has_own_name(one: Mapping[str, Any]) -> bool:
    return "images" in one or labelbox.is_labelbox(one) or kili.is_kili(one)


def _are_masks(content: list[Any]) -> bool:
    """Whether a list holds masks: objects with an outline or at least a box."""
    return any(coco.outline_of(one) is not None or "bbox" in one for one in records(content))


def _pictures(content: Any, source: str) -> list[Picture]:
    found = _read(content, source)
    if found is not None:
        return found
    if isinstance(content, list):
        raise InputError(f'{source} is a list, but not of objects with a "segmentation"; {_ADVICE}.')
    if not isinstance(content, Mapping):
        raise InputError(f"{source} holds {shown(content)}, neither an object nor a list; {_ADVICE}.")
    for names, (what, advice) in _TOOLS.items():
        if all(name in content for name in names):
            raise InputError(f"{source} is {what}; {advice}.")
    keys = ", ".join(shown(key) for key in list(content)[:_NAMED]) + (", …" if len(content) > _NAMED else "")
    there = f"only {keys}" if keys else "nothing"
    raise InputError(
        f'{source} is not in a format that ESG knows: it does not have "images" as COCO has, {there}; {_ADVICE}.'
    )


def _read(content: Any, source: str) -> list[Picture] | None:
    """The pictures that JSON describes; None if its format is unknown."""
    if (drawn := exports.geojson(content)) is not None:
        return [drawn]
    if isinstance(content, list):
        return _read_list(content, source)
    return _read_object(content, source) if isinstance(content, Mapping) else None


def _read_list(content: list[Any], source: str) -> list[Picture] | None:
    found = records(content)
    for tool, is_one in ((labelbox, labelbox.is_labelbox), (kili, kili.is_kili)):
        if any(map(is_one, found)):
            return [tool.picture(one) for one in found if is_one(one)]
    if label_studio.is_tasks(content):
        return label_studio.pictures(content)
    if any("annotations" in one and "file_name" in one for one in found):  # Detectron2's
        return [coco.from_record(one) for one in found]
    if any(isinstance(one.get("images"), list) for one in found):  # several files of COCO's
        return [picture for one in found if "images" in one for picture in coco.from_file(one, source)]
    if content and not any(isinstance(one, Mapping) for one in content):
        are_masks = all(isinstance(one, list) and one and not any(records(one)) for one in content)
        return coco.from_list([{"segmentation": one} for one in content]) if are_masks else None
    if not _are_masks(content) and any(exports.has_masks(one) for one in found):
        return [exports.picture(one) for one in found if exports.has_masks(one)]
    return coco.from_list(content)


def _read_object(content: Mapping[str, Any], source: str) -> list[Picture] | None:
    if labelbox.is_labelbox(content) or kili.is_kili(content):
        return _read_list([content], source)
    if "images" in content and ("annotations" in content or not (several := exports.pictures(content))):
        return coco.from_file(content, source)
    if "images" in content:
        return several
    if isinstance(content.get("shapes"), list) or "imagePath" in content:
        return [labelme.picture(content)]
    if isinstance(content.get("objects"), list):
        kinds = {"imgHeight": tools.cityscapes, "size": tools.supervisely, "info": tools.isat}
        for key, read in kinds.items():
            if key in content:
                return [read(content)]
    if isinstance(content.get("annotations"), list) and "image" in content:  # SA-1B's
        return [coco.from_record(content)]
    if isinstance(content.get("masks"), list):
        if any("segmentation" in one for one in records(content["masks"])):
            return coco.from_list(content["masks"])
        return [coco.from_columns(content)]
    if tools.is_via(content):
        return tools.via(content)
    if isinstance(content.get("samples"), list):
        if _is_segments_ai(content):
            raise InputError(f"{source} is Segments.ai's, whose masks are pictures at addresses; download the PNG.")
        return tools.fiftyone(content)
    if "segmentation" in content or "counts" in content:
        return coco.from_list([content])
    if exports.has_masks(content):
        return [exports.picture(content)]
    values = list(content.values())
    if values and all(isinstance(one, Mapping) and "counts" in one for one in values):  # RLEs by name
        return coco.from_list(values)
    return exports.pictures(content) or None


def _is_segments_ai(content: Mapping[str, Any]) -> bool:
    labels = (label for one in records(content["samples"]) for label in mapping(one.get("labels")).values())
    return any("segmentation_bitmap" in mapping(mapping(label).get("attributes")) for label in labels)


def _size(picture: Picture, items: list[Item], size: tuple[int, int] | None, source: str) -> tuple[int, int]:
    """height, width of a picture: its own, otherwise that of most of its masks, otherwise the photo's."""
    sizes = Counter(item.size for item in items if item.size is not None)
    if size is not None and size in sizes:
        return size
    if picture.size is not None:
        return picture.size
    if not sizes:
        if size is not None:
            return size
        if not items:
            raise InputError(f"{source} does not hold any masks: its list is empty.")
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
