"""JSON about masks: COCO files and results, files of SA-1B, and the lists that SAM's automatic mask generator makes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..errors import InputError
from ..formats import load_json, one_sentence, read_annotations
from ..limits import MAX_PIXELS
from ..rle import size_of
from .stack import Stack, check_size, encode

MAX_JSON = 1 << 31  # bytes; what JSON becomes in memory is several times as large


def read_json(
    path: Path,
    size: tuple[int, int] | None = None,
    *,
    photo: str | Path | None = None,
    by_name: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Stack:
    """The masks of one picture in a JSON file.

    An object is read as a COCO file, with "images" and "annotations", or one of SA-1B, with "image" and "annotations".
    A list holds objects whose "segmentation" is an RLE, rows of 0 and 1 (or false and true), or polygons, as SAM makes
    them or as COCO's results are; there the size of the picture is that of its masks.

    Args:
        path: the file.
        size: height, width that the masks must have; without it a list of polygons cannot be read.
        photo: path or name of the photo, which tells its masks where there are those of several pictures: by the last
            parts of the path of a file name, else by the name without its suffix. In a list pictures have only numbers,
            which are the names of COCO's photos.
        by_name: whether the masks of a single picture, too, are the photo's only if they are called like it.
        max_pixels: larger masks are refused before they are made.

    Raises:
        InputError: the file cannot be read, is malformed or too large, does not tell which masks are the photo's, or
            they are of another size.
    """
    name = str(path)
    content = _load(path)
    if by_name and not _has_names(content):
        raise InputError(f'{path} does not say whose masks it holds; give a COCO file with "images".')
    with one_sentence(name):
        if isinstance(content, Mapping):
            image, records = _of_one_image(content, photo, name, by_name)
            found = int(image["height"]), int(image["width"])
        elif isinstance(content, list):
            records = _of_one_number(content, photo, name)
            records = [_with_rows_encoded(one, f"Mask {k} of {name}") for k, one in enumerate(records, 1)]
            found = _common_size(records, size, name)
        else:
            raise TypeError("it is neither an object nor a list")
        _check_ids(records, name)
    check_size(found, size, name, max_pixels)
    rles, scores = read_annotations(records, found, name)
    return Stack(rles, scores, found)


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
    return load_json(path)


def _has_names(content: Any) -> bool:
    if isinstance(content, list):
        return len(_numbers(content)) > 1
    return isinstance(content, Mapping) and "images" in content


def _of_one_image(
    content: Mapping[str, Any], photo: str | Path | None, name: str, by_name: bool
) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """The entry of the photo in a file's images, and its annotations."""
    if "images" not in content and "image" in content:  # a file of SA-1B is about one picture
        return content["image"], content["annotations"]
    images = content["images"]
    image = images[_pick([str(one.get("file_name", "")) for one in images], photo, name, by_name)]
    number = image["id"]
    if sum(one["id"] == number for one in images) > 1:
        raise InputError(f"{name} has several pictures with the id {number!r}; make the ids unique.")
    return image, [one for one in content["annotations"] if one.get("image_id", number) == number]


def _pick(names: Sequence[str], photo: str | Path | None, source: str, by_name: bool) -> int:
    """The index of the photo's file name; a single one is taken whatever it is, unless it goes by name."""
    if len(names) == 1 and not by_name:
        return 0
    if not names:
        raise InputError(f"{source} describes no pictures.")
    number = "1 picture" if len(names) == 1 else f"{len(names)} pictures"
    called = ", ".join(one or "without a name" for one in names[:3])
    several = f"{source} describes {number} ({called}{', …' if len(names) > 3 else ''})"
    if photo is None:
        raise InputError(f"{several}; say which one by the photo's file name.")
    wanted = _parts(photo)
    likeness = [_equal_parts(_parts(one), wanted) for one in names]
    if not any(likeness):
        likeness = [int(_stem(one) == _stem(photo)) for one in names]
    best = max(likeness)
    if not best:
        raise InputError(f"{several}, and none is called {wanted[0]}; give the masks of this photo.")
    if likeness.count(best) > 1:
        raise InputError(f"{several}, and several are called {wanted[0]}; give the masks of this photo alone.")
    return likeness.index(best)


def _parts(file_name: str | Path) -> list[str]:
    """The parts of a path of any system, the last one first; at least one."""
    return re.split(r"[/\\]", str(file_name))[::-1]


def _equal_parts(one: list[str], other: list[str]) -> int:
    """The number of parts until the first that differs."""
    return [*(a == b for a, b in zip(one, other, strict=False)), False].index(False)


def _stem(file_name: str | Path) -> str:
    return PurePosixPath(_parts(file_name)[0]).stem


def _of_one_number(records: list[Any], photo: str | Path | None, name: str) -> list[Mapping[str, Any]]:
    """The objects of the photo in a list."""
    if not all(isinstance(one, Mapping) for one in records):
        raise TypeError('it is a list, but not of objects with a "segmentation"')
    numbers = _numbers(records)
    if len(numbers) < 2:
        return records
    wanted = {_stem(photo), _stem(photo).lstrip("0") or "0"} & numbers if photo is not None else set()
    if len(wanted) != 1:
        raise InputError(
            f"{name} has masks of {len(numbers)} pictures and not their file names; "
            f'give a COCO file with "images", or the masks of this photo alone.'
        )
    return [one for one in records if str(one.get("image_id", "")) in wanted]


def _numbers(records: list[Any]) -> set[str]:
    """The numbers of the pictures that the objects of a list are about; of one that says none, nothing."""
    return {str(one.get("image_id", "")) for one in records if isinstance(one, Mapping)}


def _with_rows_encoded(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object as it is, or with an RLE in place of rows of 0 and 1."""
    rows = record["segmentation"]
    if isinstance(rows, Mapping):
        return record
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise TypeError("a segmentation is neither an RLE nor a list of rows or of polygons")
    if len({len(row) for row in rows}) != 1:
        return record  # polygons
    values = np.array(rows)
    if (
        values.ndim != 2
        or not values.size
        or values.dtype.kind not in "biuf"
        or not ((values == 0) | (values == 1)).all()
    ):
        return record
    return {**record, "segmentation": encode(values, name)}


def _common_size(records: list[Mapping[str, Any]], size: tuple[int, int] | None, name: str) -> tuple[int, int]:
    masks = [one["segmentation"] for one in records]
    sizes = sorted({size_of(mask) for mask in masks if isinstance(mask, Mapping)})
    if len(sizes) > 1:
        (h0, w0), (h1, w1), *_ = sizes
        raise InputError(f"The masks in {name} must have one size, but there are {w0}x{h0} and {w1}x{h1} pixels.")
    if sizes:
        return sizes[0]
    if size is not None:
        return size
    if not masks:
        raise InputError(f"{name} holds no masks: its list is empty.")
    raise InputError(f"{name} holds polygons but not the size of their picture; give the photo's size (size=).")


def _check_ids(records: list[Mapping[str, Any]], name: str) -> None:
    seen = set()
    for one in records:
        number = one.get("id")
        if number is not None and number in seen:
            raise InputError(f"{name} has several masks with the id {number!r}; make the ids unique.")
        seen.add(number)
