"""Where the masks to be measured come from: a model, or files of any program.

Polygons are drawn by pycocotools, so the figures are the same as those of the official evaluator. What cannot be used
is left out, counted and named; it never changes a figure silently.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..data.annotated import AnnotatedPhoto, Category
from ..data.coco import annotation_name, categories_of, file_name
from ..data.coco_masks import mask_of
from ..data.locating import Locator, inner_path
from ..data.problems import Problems
from ..entities import rle
from ..entities.entity_map import EntityMap
from ..entities.files import load_json
from ..entities.importing.fields import Unusable, identifier, records, score, text
from ..entities.importing.panoptic import read_png
from ..entities.importing.reading import read_masks
from ..support.errors import ImageError, InputError
from ..support.limits import MAX_PIXELS
from .matching import FoundMask

UNKNOWN_PHOTOS = "predictions for photos that are not in the truth"
UNKNOWN_CATEGORIES = "predictions of categories that are not in the truth"
_ENDINGS = (".entities.json", ".json", ".labels.png", ".png", ".npy", ".npz", ".txt", ".xml", ".tif", ".tiff", ".bmp")

Result = EntityMap | Iterable[Sequence[Any]]
"""A model's entities, whose `names` are their classes if it has any; or masks that may overlap: (mask, score) or
(mask, score, name), where a mask is (H, W) bool or a COCO RLE."""


class Predictions(ABC):
    """The masks that were found in the photos of a data set.

    Attributes:
        name: where they come from.
        problems: what was left out when they were opened.
        portable: whether worker processes may read them; a model stays in the main process.
    """

    name: str
    problems: Problems
    portable = False

    @abstractmethod
    def of(self, photo: AnnotatedPhoto, problems: Problems) -> list[FoundMask] | None:
        """The masks in a photo; None if there is nothing about this photo, not even that nothing was found.

        Args:
            photo: the photo.
            problems: takes what is left out.

        Raises:
            EsgError: the photo, or the file of its masks, cannot be used at all.
        """


class ModelPredictions(Predictions):
    """The results of a model, photo by photo.

    Args:
        model: (H, W, 3) uint8 RGB → its `Result`, including masks with low scores.
        categories: the categories of the truth, by whose names the model's classes are known.
        name: the model's name.
    """

    def __init__(
        self, model: Callable[[np.ndarray], Result], categories: Sequence[Category] = (), name: str = "model"
    ) -> None:
        self.name, self.problems, self._model = name, Problems(), model
        self._numbers = {one.name.casefold(): number for number, one in enumerate(categories)}

    def of(self, photo: AnnotatedPhoto, problems: Problems) -> list[FoundMask]:
        """The masks in a photo; ImageError if it cannot be read."""
        found = []
        for mask, confidence, name in _rows(self._model(photo.image())):
            category = None if name is None else self._numbers.get(name.casefold())
            if name is not None and category is None and self._numbers:
                problems.add(UNKNOWN_CATEGORIES, f"{name} in {photo.name}")
            found.append(FoundMask(mask, confidence, category))
        return found


def _rows(result: Result) -> Iterable[tuple[rle.Rle, float, str | None]]:
    if isinstance(result, EntityMap):
        names = getattr(result, "names", None) or [None] * len(result)
        yield from zip(rle.encode_labels(result.labels, len(result)), result.scores.tolist(), names, strict=True)
        return
    for mask, confidence, *name in result:
        packed = rle.encode_mask(mask.astype(bool)) if isinstance(mask, np.ndarray) else mask
        yield packed, float(confidence), name[0] if name else None


def open_predictions(path: str | Path, categories: Sequence[Category] = ()) -> FilePredictions:
    """The masks in files.

    Args:
        path: COCO results, a list of objects with `image_id`, `segmentation` and `score`; or COCO JSON with `images`
            and `annotations`; or COCO panoptic: its JSON, with the PNGs beside it; or a folder with one file of masks
            per photo, named after it, in any format that ESG reads. A mask without a score has the score 1.
        categories: the categories of the truth.

    Raises:
        InputError: the path does not exist, or has another format.
    """
    path = Path(path)
    if path.is_dir():
        panoptic = path / "panoptic.json"
        return open_predictions(panoptic, categories) if panoptic.is_file() else MaskFolder(path, categories)
    content = load_json(path)
    listed = content.get("annotations") if isinstance(content, Mapping) else content
    if not isinstance(listed, list):
        raise InputError(f"{path} is neither a list of COCO results nor COCO JSON with annotations.")
    if not listed and not isinstance(content, Mapping):
        raise InputError(f"{path} does not contain predictions: its list is empty.")
    if any(isinstance(one, Mapping) and "segments_info" in one for one in listed):
        return PanopticResults(path, content, categories)
    return CocoResults(path, content, categories)


class Keys:
    """Items of photos, found by the photo's id or by its file name.

    Args:
        items: the items by the notation of the photo's id, if `by_id`, else by file name.
    """

    def __init__(self, items: Mapping[str, Any], *, by_id: bool) -> None:
        self.items, self._by_id = items, by_id
        self._paths = {str(inner_path(name)): name for name in items}
        self._stems: dict[str, list[str]] = {}
        for name in items:
            self._stems.setdefault(stem_of(name), []).append(name)

    def of(self, photo: int | str, name: str) -> str | None:
        """The key of a photo with this id and name: the id; the same path; or the only path with the same last part."""
        if self._by_id:
            key = identifier(photo)
            return key if key in self.items else None
        same = self._stems.get(stem_of(name), [])
        return self._paths.get(str(inner_path(name))) or (same[0] if len(same) == 1 else None)


def stem_of(name: str) -> str:
    """The last part of a file name, without its ending."""
    last = PurePosixPath(inner_path(name)).name
    ending = next((one for one in _ENDINGS if last.endswith(one)), PurePosixPath(last).suffix)
    return last[: len(last) - len(ending)] if ending else last


class FilePredictions(Predictions):
    """Predictions in files, found by key.

    Attributes:
        keys: the keys of all photos that they are about.
    """

    keys: Keys

    def of(self, photo: AnnotatedPhoto, problems: Problems) -> list[FoundMask] | None:
        """The masks in a photo; None if the files are not about it."""
        key = self.keys.of(photo.id, photo.name)
        return None if key is None else self.read(key, photo, problems)

    @abstractmethod
    def read(self, key: str, photo: AnnotatedPhoto, problems: Problems) -> list[FoundMask]:
        """The masks that belong to a key; EsgError if they cannot be read."""

    def unclaimed(self, claimed: Iterable[str]) -> Iterable[str]:
        """The keys that do not belong to any photo of the truth."""
        return sorted(set(self.keys.items) - set(claimed))


class CocoResults(FilePredictions):
    """COCO results, found by `image_id`; or COCO JSON with images, found by their file names, as ids differ.

    Args:
        path: the file, for messages.
        content: what it holds.
        categories: the categories of the truth.
    """

    def __init__(self, path: Path, content: Any, categories: Sequence[Category]) -> None:
        self.name, self.problems = str(path), Problems()
        images = _names_by_id(content)
        listed = content.get("annotations") if isinstance(content, Mapping) else content
        self._categories = _category_numbers(content, categories)
        by_photo: dict[str, list[tuple[int, Mapping[str, Any]]]] = {name: [] for name in images.values()}
        seen: set[str] = set()
        for place, one in enumerate(records(listed)):
            owner, own = identifier(one.get("image_id")), identifier(one.get("id"))
            key = images.get(owner or "") if images else owner
            if key is None:
                self.problems.add(
                    "predictions without the id of a photo" if owner is None else UNKNOWN_PHOTOS,
                    annotation_name(one, place),
                )
                continue
            if images and own is not None:
                if own in seen:
                    self.problems.add(
                        "predictions with the id of an earlier one, which count, too", annotation_name(one, place)
                    )
                seen.add(own)
            by_photo.setdefault(key, []).append((place, one))
        self.keys = Keys(by_photo, by_id=not images)

    def read(self, key: str, photo: AnnotatedPhoto, problems: Problems) -> list[FoundMask]:
        """The usable masks of a photo."""
        return found_masks(self.keys.items[key], photo, self._categories, problems)


def found_masks(
    entries: Iterable[tuple[int, Mapping[str, Any]]],
    photo: AnnotatedPhoto,
    categories: Mapping[str, int],
    problems: Problems,
) -> list[FoundMask]:
    """The usable ones of a photo's results in COCO's format.

    Args:
        entries: results, each with its place in the file.
        photo: the photo.
        categories: the numbers of the truth's categories by the notation of their ids in the file.
        problems: takes what is left out.
    """
    found = []
    for place, one in entries:
        try:
            mask = mask_of(one, photo.size)
        except Unusable as reason:
            problems.add(f"predictions {reason}", f"{annotation_name(one, place)} of {photo.name}")
            continue
        try:
            confidence = score(one)
        except Unusable:
            problems.add("predictions whose score is not a number", f"{annotation_name(one, place)} of {photo.name}")
            continue
        category = categories.get(identifier(one.get("category_id")) or "")
        if category is None and categories:
            problems.add(UNKNOWN_CATEGORIES, f"{annotation_name(one, place)} of {photo.name}")
        found.append(FoundMask(mask, confidence, category))
    return found


class PanopticResults(FilePredictions):
    """COCO panoptic results: JSON with `segments_info`, and a PNG per photo beside it.

    Args:
        path: the JSON file.
        content: what it holds.
        categories: the categories of the truth.
        pictures: the folder of the PNGs; None: found near the file.
    """

    portable = True

    def __init__(
        self, path: Path, content: Any, categories: Sequence[Category], pictures: str | Path | None = None
    ) -> None:
        self.name, self.problems = str(path), Problems()
        images = _names_by_id(content)
        self._categories = _category_numbers(content, categories)
        near = [path.with_suffix(""), path.parent / "panoptic", path.parent]
        self._pictures = Locator(near if pictures is None else [Path(pictures)])
        by_photo: dict[str, Mapping[str, Any]] = {}
        for place, one in enumerate(records(content.get("annotations") if isinstance(content, Mapping) else content)):
            owner = identifier(one.get("image_id"))
            key = images.get(owner or "") if images else owner
            if key is None:
                self.problems.add(UNKNOWN_PHOTOS, text(one.get("file_name")) or f"number {place}")
            elif key in by_photo:
                self.problems.add("predictions for a photo that has some already", key)
            else:
                by_photo[key] = one
        self.keys = Keys(by_photo, by_id=not images)

    def read(self, key: str, photo: AnnotatedPhoto, problems: Problems) -> list[FoundMask]:
        """The listed segments of a photo that have pixels."""
        annotation = self.keys.items[key]
        name = text(annotation.get("file_name"))
        png = self._pictures.find(name)
        if png is None:
            raise ImageError(f"The picture of segments {name or 'of ' + key} is missing.")
        ids = read_png(png, MAX_PIXELS)
        if ids.shape != photo.size:
            raise ImageError(
                f"{png} has {ids.shape[1]}x{ids.shape[0]} pixels, but its photo {photo.size[1]}x{photo.size[0]}."
            )
        values, places = np.unique(ids, return_inverse=True)
        labels = places.reshape(ids.shape).astype(np.int32) + 1
        masks = dict(zip(map(str, values.tolist()), rle.encode_labels(labels, len(values)), strict=True))
        masks.pop("0", None)
        found = []
        for place, info in enumerate(records(annotation.get("segments_info"))):
            called = f"{annotation_name(info, place)} of {photo.name}"
            mask = masks.pop(identifier(info.get("id")) or "", None)
            if mask is None:
                problems.add("predicted segments without pixels", called)
                continue
            try:
                confidence = score(info)
            except Unusable:
                problems.add("predictions whose score is not a number", called)
                continue
            category = self._categories.get(identifier(info.get("category_id")) or "")
            if category is None and self._categories:
                problems.add(UNKNOWN_CATEGORIES, called)
            found.append(FoundMask(mask, confidence, category))
        for unlisted in masks:
            problems.add("predicted areas whose id is not listed", f"{unlisted} of {photo.name}")
        return found


class MaskFolder(FilePredictions):
    """A folder with a file, or a folder, of masks for each photo, in any format that ESG reads, SAM's included.

    Args:
        folder: the folder; its subfolders may repeat those of the photos.
        categories: the categories of the truth, by whose names classes are known; in COCO's format without a list of
            categories, by their ids.
    """

    portable = True

    def __init__(self, folder: Path, categories: Sequence[Category] = ()) -> None:
        self.name, self.problems = str(folder), Problems()
        self._categories = tuple(categories)
        self._numbers = {one.name.casefold(): number for number, one in enumerate(categories)}
        files: dict[str, Path] = {}
        for parent, inner, names in os.walk(folder):
            inner.sort()
            for name in sorted(names, key=lambda name: (_priority(name), name)):
                path = Path(parent) / name
                key = path.relative_to(folder).with_name(stem_of(name)).as_posix()
                if _priority(name) < len(_ENDINGS) and not name.startswith("."):
                    files.setdefault(key, path)
        for path in sorted(one for one in folder.iterdir() if one.is_dir()):  # a folder of PNGs, one per mask
            files.setdefault(path.name, path)
        if not files:
            raise InputError(
                f"{folder} does not contain predictions; it should have a file for each photo, such as "
                "NAME.entities.json, NAME.labels.png or NAME.png."
            )
        self.keys = Keys(files, by_id=False)

    def read(self, key: str, photo: AnnotatedPhoto, problems: Problems) -> list[FoundMask]:
        """The masks of a photo; those of a JSON file in COCO's format may overlap."""
        path = self.keys.items[key]
        if path.suffix == ".json":
            content = load_json(path)
            listed = content.get("annotations") if isinstance(content, Mapping) else content
            if isinstance(listed, list) and all(isinstance(one, Mapping) and "segmentation" in one for one in listed):
                return found_masks(enumerate(listed), photo, _category_numbers(content, self._categories), problems)
        try:
            entities = read_masks(path, photo.size, photo=photo.file or photo.name, may_be_empty=True)
        except InputError as error:
            raise ImageError(*error.args) from None
        found = []
        for mask, confidence, name in _rows(entities):
            category = None if name is None else self._numbers.get(name.casefold())
            if name is not None and category is None and self._numbers:
                problems.add(UNKNOWN_CATEGORIES, f"{name} in {photo.name}")
            found.append(FoundMask(mask, confidence, category))
        return found

    def unclaimed(self, claimed: Iterable[str]) -> Iterable[str]:
        """The files that do not belong to any photo of the truth, and are not in a folder that does."""
        used = set(claimed)
        return [
            one
            for one in super().unclaimed(used)
            if not any(one.startswith(f"{key}/") for key in used) and not any(key.startswith(f"{one}/") for key in used)
        ]


def _priority(name: str) -> int:
    return next((number for number, ending in enumerate(_ENDINGS) if name.endswith(ending)), len(_ENDINGS))


def _names_by_id(content: Any) -> dict[str, str]:
    """The file names of the images that a file lists, by the notation of their ids."""
    images = records(content.get("images")) if isinstance(content, Mapping) else []
    return {key: name for one in images if (key := identifier(one.get("id"))) and (name := file_name(one))}


def _category_numbers(content: Any, categories: Sequence[Category]) -> dict[str, int]:
    """The numbers of the truth's categories by the notation of the ids in a file.

    By name, if the file lists categories and all their names are in the truth; else the ids are those of the truth.
    """
    own, _ = categories_of(content) if isinstance(content, Mapping) else ((), {})
    by_name = {one.name.casefold(): number for number, one in enumerate(categories)}
    if own and all(one.name.casefold() in by_name for one in own):
        return {identifier(one.id) or "": by_name[one.name.casefold()] for one in own}
    return {key: number for number, one in enumerate(categories) if (key := identifier(one.id)) is not None}
