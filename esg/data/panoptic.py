"""Photos with annotations in COCO's panoptic format (Kirillov et al., CVPR 2019): COCO, ADE20K, EntitySeg."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..entities import rle
from ..entities.files import load_json
from ..entities.importing.fields import identifier, number, records, text
from ..entities.importing.panoptic import read_png
from ..support.errors import ImageError, InputError
from ..support.limits import MAX_PIXELS
from .annotated import AnnotatedPhoto, AnnotatedPhotos, Segment
from .coco import categories_of, file_name, image_records, plain_id
from .locating import Locator, photo_folders
from .problems import Problems


class CocoPanoptic(AnnotatedPhotos):
    """The photos of a panoptic JSON file, whose segments are in one PNG per photo.

    Every segment is an entity, whether thing or stuff. Pixels without a segment are unlabelled.

    Args:
        path: the JSON file, or the folder that holds it as `panoptic.json`.
        images: folder of the photos; None: found near the file, such as `images/`.
        pictures: folder of the PNGs; None: found near the file, such as `panoptic/`.
        content: the file's content, if it has been read already.

    Raises:
        InputError: the file cannot be read, or has another format.
    """

    def __init__(
        self,
        path: str | Path,
        images: str | Path | None = None,
        pictures: str | Path | None = None,
        *,
        content: Any = None,
    ) -> None:
        path = Path(path)
        path = path / "panoptic.json" if path.is_dir() else path
        content = load_json(path) if content is None else content
        self.name, self.problems = str(path), Problems()
        images_by_id = image_records(content, path, self.problems)
        self.categories, self._numbers = categories_of(content)
        if not isinstance(content.get("annotations"), list):
            raise InputError(f"{path} is not in COCO's panoptic format: it does not have a list of annotations.")
        self._locator = Locator(photo_folders(path, None if images is None else Path(images)))
        beside = [path.with_suffix(""), path.parent / "panoptic", path.parent]
        self._pictures = Locator(beside if pictures is None else [Path(pictures)])
        found = []
        for place, one in enumerate(records(content["annotations"])):
            image = images_by_id.get(identifier(one.get("image_id")) or "")
            png = text(one.get("file_name"))
            if image is None:
                self.problems.add("annotations of photos that are not listed", png or f"number {place}")
            elif not isinstance(one.get("segments_info"), list):
                raise InputError(f"{path} is not in COCO's panoptic format: annotation {place} has no segments_info.")
            elif self._pictures.find(png) is None:
                self.problems.add("pictures of segments that are missing", png or f"number {place}")
            else:
                found.append((image, one))
        self._found = sorted(found, key=lambda pair: file_name(pair[0]))
        self.refuse_if_empty()

    def __len__(self) -> int:
        return len(self._found)

    @property
    def keys(self) -> tuple[str, ...]:
        """The notation of every photo's id, in order, by which texts refer to photos."""
        return tuple(identifier(image["id"]) or "" for image, _ in self._found)

    def called(self, index: int) -> tuple[int | str, str]:
        """The id and the file name of the photo at an index."""
        image = self._found[index][0]
        return plain_id(image["id"]), file_name(image)

    def photo(self, index: int) -> AnnotatedPhoto:
        """The photo at an index.

        Raises:
            ImageError: the picture of its segments cannot be read, or has another size than the photo.
        """
        image, annotation = self._found[index]
        name, png = file_name(image), self._pictures.find(text(annotation["file_name"]))
        if png is None:
            raise ImageError(f"The picture of segments {annotation['file_name']} is missing.")
        try:
            ids = read_png(png, MAX_PIXELS)
        except InputError as error:
            raise ImageError(*error.args) from None
        shape = (int(number(image.get("height")) or ids.shape[0]), int(number(image.get("width")) or ids.shape[1]))
        if ids.shape != shape:
            raise ImageError(f"{png} does not have the size of its photo {name}.")
        segments, problems = self._segments(annotation, ids, name)
        return AnnotatedPhoto(
            plain_id(image["id"]), name, shape, self._locator.find(name), tuple(segments), problems=problems
        )

    def _segments(self, annotation: Mapping[str, Any], ids: np.ndarray, name: str) -> tuple[list[Segment], Problems]:
        """The listed segments that have pixels, and what was left out."""
        problems = Problems()
        values, places = np.unique(ids, return_inverse=True)
        labels = places.reshape(ids.shape).astype(np.int32) + 1
        masks = dict(zip(values.tolist(), rle.encode_labels(labels, len(values)), strict=True))
        segments = []
        for info in records(annotation["segments_info"]):
            key = identifier(info.get("id")) or ""
            mask = masks.pop(int(key), None) if key.isascii() and key.isdigit() else None
            if mask is None:
                problems.add("segments without pixels", f"{key} of {name}")
                continue
            category = self._numbers.get(identifier(info.get("category_id")) or "")
            if category is None and self.categories:
                problems.add("segments of categories that are not listed", f"{key} of {name}")
            segments.append(Segment(mask, category, bool(info.get("iscrowd")), id=int(key)))
        masks.pop(0, None)
        for unlisted in masks:
            problems.add("areas whose id is not listed", f"{unlisted} of {name}")
        return segments, problems
