"""Photos with the annotations of COCO (Lin et al., ECCV 2014): panoptic (Kirillov et al., CVPR 2019) and instances."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..entities.entity_map import EntityMap
from ..pictures.reading import read_image
from ..support.errors import EsgError, ImageError, InputError
from .labelled import UNKNOWN, LabelledPhoto

PANOPTIC, INSTANCES, CAPTIONS = "panoptic.json", "instances.json", "captions.json"


class CocoPanoptic(Sequence[LabelledPhoto]):
    """The photos of a folder that holds `panoptic.json`, `panoptic/NAME.png` and `images/`.

    Every segment, thing or stuff, is an entity. Crowds and areas without a segment are unknown.

    Args:
        folder: as above; JSON file and pictures of COCO's panoptic task, complete or a subset.

    Raises:
        InputError: the JSON file is missing or not in COCO's panoptic format.

    Attributes:
        categories: names of all categories, in the file's order.
        things: names of those that are things.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        content = _read_json(self.folder / PANOPTIC)
        try:
            files = {image["id"]: image["file_name"] for image in content["images"]}
            self._names = {category["id"]: category["name"] for category in content["categories"]}
            self.categories = tuple(self._names.values())
            self.things = frozenset(one["name"] for one in content["categories"] if one["isthing"])
            found = [(files[one["image_id"]], one["file_name"], one["segments_info"]) for one in content["annotations"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self.folder / PANOPTIC} is not in COCO's panoptic format: {error}.") from None
        self._found = sorted(found, key=lambda one: one[0])

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        """The photo at an index.

        Raises:
            ImageError: a file cannot be read, or the picture of segments does not have the size of its photo.
        """
        photo, segments, infos = self._found[index]
        image = read_image(self.folder / "images" / photo)
        try:
            with Image.open(self.folder / "panoptic" / segments) as picture:
                red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB")).astype(np.int32), -1, 0)
        except OSError as error:
            raise ImageError(f"{self.folder / 'panoptic' / segments} cannot be read ({error}).") from None
        ids = red + 256 * green + 65536 * blue
        if ids.shape != image.shape[:2]:
            raise ImageError(f"{self.folder / 'panoptic' / segments} does not have the size of its photo {photo}.")
        labels = np.full(ids.shape, UNKNOWN, np.int32)
        categories = []
        for info in infos:
            inside = ids == info["id"]
            if info.get("iscrowd") or not inside.any():
                continue
            categories.append(self._names[info["category_id"]])
            labels[inside] = len(categories)
        return LabelledPhoto(Path(photo).stem, image, labels, tuple(categories))


class CocoInstances(Sequence[LabelledPhoto]):
    """The photos of a folder that holds `instances.json` (polygons or RLE of things) and `images/`.

    If there is a `captions.json`, photos have captions. Where instances overlap, the smaller one is on top. Crowds
    and areas without an instance are unknown.

    Args:
        folder: as above.

    Raises:
        InputError: the JSON file is missing or not in COCO's format.

    Attributes:
        categories: names of all categories, in the file's order.
        things: the same; all of COCO's instances are things.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        content = _read_json(self.folder / INSTANCES)
        try:
            self._names = {category["id"]: category["name"] for category in content["categories"]}
            self.categories = tuple(self._names.values())
            self.things = frozenset(self.categories)
            annotations: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
            for one in content["annotations"]:
                annotations[one["image_id"]].append(one)
            self._found = sorted(
                ((image["file_name"], image, annotations[image["id"]]) for image in content["images"]),
                key=lambda one: one[0],
            )
            self._captions: dict[Any, list[str]] = {}
            if (self.folder / CAPTIONS).is_file():
                for one in _read_json(self.folder / CAPTIONS)["annotations"]:
                    self._captions.setdefault(one["image_id"], []).append(" ".join(one["caption"].split()))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self.folder} is not in COCO's format: {error}.") from None

    @property
    def written(self) -> tuple[str, ...]:
        """All captions of all photos."""
        return tuple(caption for captions in self._captions.values() for caption in captions)

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        """The photo at an index.

        Raises:
            ImageError: the photo cannot be read, or its size is not that of the annotations.
            InputError: an annotation is malformed.
        """
        photo, info, annotations = self._found[index]
        image = read_image(self.folder / "images" / photo)
        size = image.shape[:2]
        if size != (info["height"], info["width"]):
            raise ImageError(f"{photo} has height, width {size}, which differs from {self.folder / INSTANCES}.")
        labels = np.full(size, UNKNOWN, np.int32)
        masks = [(_mask(one, size), one) for one in annotations if not one.get("iscrowd")]
        categories = []
        for mask, one in sorted(masks, key=lambda pair: -int(pair[0].sum())):
            if mask.any():
                categories.append(self._names[one["category_id"]])
                labels[mask] = len(categories)
        captions = tuple(self._captions.get(info["id"], ()))
        return LabelledPhoto(Path(photo).stem, image, labels, tuple(categories), captions)


def _mask(annotation: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    record = {"images": [{"id": 1, "height": size[0], "width": size[1]}], "categories": [{"id": 1, "name": "entity"}]}
    one = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": annotation["segmentation"]}
    try:
        return EntityMap.from_coco({**record, "annotations": [one]}).labels > 0
    except EsgError:
        return np.zeros(size, bool)  # a polygon without area


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except ValueError as error:
        raise InputError(f"{path} is not a JSON file ({error}).") from None
