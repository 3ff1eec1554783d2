"""Photos with annotations in COCO's instance format (Lin et al., ECCV 2014): COCO, EntitySeg, LVIS, SGinW, exports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..entities import rle
from ..entities.files import load_json
from ..entities.importing.fields import Unusable, identifier, number, records, size, text
from ..pictures.reading import read_image
from ..support.errors import InputError
from .annotated import AnnotatedPhoto, AnnotatedPhotos, Category, Segment
from .coco_masks import mask_of
from .locating import Locator, photo_folders
from .problems import Problems

CAPTIONS = "captions.json"


class CocoInstances(AnnotatedPhotos):
    """The photos of a file with `images`, `annotations` and `categories`.

    Where segments overlap, the smaller one is on top. Unusable annotations are left out and noted in `problems`. A
    `captions.json` in the same folder adds captions.

    Args:
        path: the JSON file, or the folder that holds it as `instances.json`.
        images: folder of the photos; None: found near the file, such as `images/`.
        content: the file's content, if it has been read already.

    Raises:
        InputError: the file cannot be read, or has another format.
    """

    def __init__(self, path: str | Path, images: str | Path | None = None, *, content: Any = None) -> None:
        path = Path(path)
        path = path / "instances.json" if path.is_dir() else path
        content = load_json(path) if content is None else content
        self.name, self.problems = str(path), Problems()
        self._images = image_records(content, path, self.problems)
        self.categories, self._numbers = categories_of(content)
        self._annotations: dict[str, list[Mapping[str, Any]]] = {key: [] for key in self._images}
        if not isinstance(content.get("annotations"), list):
            raise InputError(f"{path} is not in COCO's format: it does not have a list of annotations.")
        seen: set[str] = set()
        for place, one in enumerate(records(content["annotations"])):
            owner, own = identifier(one.get("image_id")), identifier(one.get("id"))
            if own in seen:
                self.problems.add("annotations with the id of an earlier one, which count, too", f"id {own}")
            elif own is not None:
                seen.add(own)
            if owner in self._annotations:
                self._annotations[owner].append(one)
            else:
                self.problems.add("annotations of photos that are not listed", annotation_name(one, place))
        self._locator = Locator(photo_folders(path, None if images is None else Path(images)))
        self._captions = captions_of(path.parent / CAPTIONS)
        for key, image in list(self._images.items()):
            if _size_of(image) is None and self._locator.find(file_name(image)) is None:
                self.problems.add("photos that are missing and whose size is not listed", file_name(image))
                del self._images[key]
        self._order = sorted(self._images, key=lambda key: file_name(self._images[key]))
        self.refuse_if_empty()

    def __len__(self) -> int:
        return len(self._order)

    @property
    def keys(self) -> tuple[str, ...]:
        """The notation of every photo's id, in order, by which texts refer to photos."""
        return tuple(self._order)

    @property
    def written(self) -> tuple[str, ...]:
        """All captions of all photos."""
        return tuple(one for captions in self._captions.values() for one in captions)

    def called(self, index: int) -> tuple[int | str, str]:
        """The id and the file name of the photo at an index."""
        image = self._images[self._order[index]]
        return plain_id(image["id"]), file_name(image)

    def photo(self, index: int) -> AnnotatedPhoto:
        """The photo at an index, with its segments in descending order of size."""
        key = self._order[index]
        image = self._images[key]
        file = self._locator.find(file_name(image))
        shape = _size_of(image) or read_image(file).shape[:2]  # type: ignore[arg-type]
        problems, segments = Problems(), []
        for place, one in enumerate(self._annotations[key]):
            try:
                mask = mask_of(one, shape)
                if not rle.area(mask):
                    raise Unusable("whose mask is empty")
            except Unusable as reason:
                problems.add(f"annotations {reason}", f"{annotation_name(one, place)} of {file_name(image)}")
                continue
            category = self._numbers.get(identifier(one.get("category_id")) or "")
            if category is None and self.categories:
                problems.add("annotations of categories that are not listed", annotation_name(one, place))
            segments.append(
                Segment(mask, category, bool(one.get("iscrowd")), number(one.get("area")), plain_id(one.get("id")))
            )
        segments = [
            one for _, one in sorted(((rle.area(one.mask), one) for one in segments), key=lambda pair: -pair[0])
        ]
        return AnnotatedPhoto(
            plain_id(image["id"]),
            file_name(image),
            shape,
            file,
            tuple(segments),
            self._captions.get(key, ()),
            problems=problems,
        )


def _size_of(image: Mapping[str, Any]) -> tuple[int, int] | None:
    return size(image.get("height"), image.get("width"))


def image_records(content: Any, path: Path, problems: Problems) -> dict[str, Mapping[str, Any]]:
    """The entries of `images` by the notation of their ids; the unusable ones are left out.

    Raises:
        InputError: there is no list of images.
    """
    if not isinstance(content, Mapping) or not isinstance(content.get("images"), list):
        raise InputError(f"{path} is not in COCO's format: it does not have a list of images.")
    found: dict[str, Mapping[str, Any]] = {}
    for place, image in enumerate(records(content["images"])):
        key = identifier(image.get("id"))
        if key is None or not file_name(image):
            problems.add("images without an id or a file name", f"number {place}")
        elif key in found:
            if file_name(found[key]) != file_name(image):
                problems.add("images with the id of an earlier one", file_name(image))
        else:
            found[key] = image
    return found


def categories_of(content: Mapping[str, Any]) -> tuple[tuple[Category, ...], dict[str, int]]:
    """The categories of a file, and the index of each by the notation of its id.

    `isthing` (COCO panoptic) or `type` (EntitySeg) says which are things.
    """
    categories: list[Category] = []
    numbers: dict[str, int] = {}
    for one in records(content.get("categories")):
        key, name = identifier(one.get("id")), text(one.get("name"))
        if key is None or not name or key in numbers:
            continue
        thing = None
        if one.get("isthing") is not None:
            thing = bool(one["isthing"])
        elif text(one.get("type")) in ("thing", "stuff"):
            thing = text(one["type"]) == "thing"
        numbers[key] = len(categories)
        categories.append(Category(name, thing, plain_id(one["id"])))
    return tuple(categories), numbers


def captions_of(path: Path) -> dict[str, tuple[str, ...]]:
    """The captions of COCO's captions file by the notation of image ids; none if the file does not exist.

    Raises:
        InputError: the file cannot be read, or has another format.
    """
    if not path.is_file():
        return {}
    content = load_json(path)
    if not isinstance(content, Mapping) or not isinstance(content.get("annotations"), list):
        raise InputError(f"{path} is not in COCO's format for captions: it does not have a list of annotations.")
    found: dict[str, tuple[str, ...]] = {}
    for one in records(content["annotations"]):
        key, caption = identifier(one.get("image_id")), " ".join(text(one.get("caption")).split())
        if key is not None and caption:
            found[key] = (*found.get(key, ()), caption)
    return found


def file_name(image: Mapping[str, Any]) -> str:
    """The file name of an entry of `images`; LVIS has an address (`coco_url`) instead."""
    return text(image.get("file_name")) or "/".join(text(image.get("coco_url")).split("/")[-2:])


def annotation_name(annotation: Mapping[str, Any], place: int) -> str:
    """The name of an annotation in messages: its id, or else its place in the list."""
    key = identifier(annotation.get("id"))
    return f"number {place}" if key is None else f"id {key}"


def plain_id(value: Any) -> int | str:
    """An id as a number, if it is one."""
    key = identifier(value) or ""
    return int(key) if key.isascii() and key.isdigit() and not isinstance(value, str) else key
