"""Label maps whose numbers are classes, and lists of classes: ADE20K, Cityscapes, and results of other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.annotated import AnnotatedPhoto, AnnotatedPhotos, Category, Segment
from ..data.coco import categories_of
from ..data.problems import Problems
from ..entities import rle
from ..entities.files import load_json
from ..pictures.reading import open_picture
from ..support.errors import ImageError, InputError
from ..support.limits import MAX_PIXELS
from .matching import FoundMask
from .predictions import FilePredictions, Keys, stem_of

_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".npy")


def read_categories(path: str | Path) -> tuple[Category, ...]:
    """The categories in a JSON file, whose `id` is the number in label maps.

    Args:
        path: COCO JSON with `categories`, or a list of such objects with `id` and `name`, or a list of names, which
            have the numbers 0, 1, 2 ...

    Raises:
        InputError: the file cannot be read, or does not list categories.
    """
    content = load_json(Path(path))
    listed = content if isinstance(content, list) else None
    if listed and all(isinstance(one, str) for one in listed):
        return tuple(Category(name, id=number) for number, name in enumerate(listed))
    found, _ = categories_of(content if isinstance(content, Mapping) else {"categories": listed})
    if not found:
        raise InputError(f'{path} does not list categories; give objects with "id" and "name", or a list of names.')
    return found


class ClassMapPhotos(AnnotatedPhotos):
    """Photos whose truth is a label map of classes; the photos themselves are not needed.

    Args:
        folder: the label maps, which may be in subfolders.
        categories: the classes; pixels with a number that is not among their ids are void.

    Raises:
        InputError: the folder does not exist, or does not contain label maps.
    """

    def __init__(self, folder: str | Path, categories: Sequence[Category]) -> None:
        self.name, self.problems, self.categories = str(folder), Problems(), tuple(categories)
        self._files = _label_maps(Path(folder))
        self._names = sorted(self._files)

    def __len__(self) -> int:
        return len(self._names)

    def called(self, index: int) -> tuple[int | str, str]:
        """The id and the name of the photo at an index."""
        return self._names[index], self._names[index]

    def photo(self, index: int) -> AnnotatedPhoto:
        """The photo at an index, with a segment for each class; ImageError if its label map cannot be read."""
        name = self._names[index]
        labels = read_class_map(self._files[name])
        segments, _ = _by_class(labels, self.categories)
        size = (labels.shape[0], labels.shape[1])
        return AnnotatedPhoto(name, name, size, None, tuple(Segment(mask, number) for number, mask in segments))


class ClassMaps(FilePredictions):
    """Label maps of classes that a program found, named after the photos.

    Args:
        folder: the label maps, which may be in subfolders.
        categories: the classes of the truth.

    Raises:
        InputError: the folder does not exist, or does not contain label maps.
    """

    portable = True

    def __init__(self, folder: str | Path, categories: Sequence[Category]) -> None:
        self.name, self.problems, self._categories = str(folder), Problems(), tuple(categories)
        self.keys = Keys(_label_maps(Path(folder)), by_id=False)

    def read(self, key: str, photo: AnnotatedPhoto, problems: Problems) -> list[FoundMask]:
        """The area of each class."""
        path = self.keys.items[key]
        labels = read_class_map(path)
        if labels.shape != photo.size:
            raise ImageError(
                f"{path} has {labels.shape[1]}x{labels.shape[0]} pixels, but its photo {photo.size[1]}x{photo.size[0]}."
            )
        found, unlisted = _by_class(labels, self._categories)
        if unlisted:
            problems.add("predicted classes that are not listed", f"{unlisted[0]} in {photo.name}")
        return [FoundMask(mask, 1.0, number) for number, mask in found]


def _label_maps(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"The folder {folder} does not exist; give a folder of label maps.")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _SUFFIXES and path.is_file()]
    if not files:
        raise InputError(f"{folder} does not contain label maps (PNG, TIFF or .npy).")
    return {path.relative_to(folder).with_name(stem_of(path.name)).as_posix(): path for path in files}


def read_class_map(path: Path) -> np.ndarray:
    """The numbers of a label map, (H, W) integers; ImageError if it cannot be read as one."""
    if path.suffix.lower() == ".npy":
        try:
            labels = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ImageError(f"{path} cannot be read as a label map ({error}).") from None
    else:
        with open_picture(path, max_pixels=MAX_PIXELS) as picture:
            labels = np.asarray(picture)
    if labels.ndim != 2 or labels.dtype.kind not in "iub":
        raise ImageError(f"{path} is not a label map: it should have one whole number per pixel.")
    return labels


def _by_class(labels: np.ndarray, categories: Sequence[Category]) -> tuple[list[tuple[int, rle.Rle]], list[Any]]:
    """The category and the mask of each class that is there, and the numbers that are not listed."""
    numbers = {int(one.id): index for index, one in enumerate(categories) if isinstance(one.id, int)}
    values, places = np.unique(labels, return_inverse=True)
    masks = rle.encode_labels(places.reshape(labels.shape).astype(np.int32) + 1, len(values))
    found = [(numbers[value], mask) for value, mask in zip(values.tolist(), masks, strict=True) if value in numbers]
    return found, [value for value in values.tolist() if value not in numbers]
