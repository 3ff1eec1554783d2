"""Photos with one file of masks each, in any format that ESG reads: label maps, LabelMe, YOLO, stacks of masks ..."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..entities import rle
from ..entities.importing.annotations import class_names, cvat_pictures
from ..entities.importing.names import pick
from ..entities.importing.reading import read_masks
from ..pictures.listing import list_images
from ..pictures.reading import read_image
from ..support.errors import EsgError, ImageError, InputError
from .annotated import MISSING, AnnotatedPhoto, AnnotatedPhotos, Category, Segment
from .problems import Problems

_FOLDERS = ("masks", "labels", "annotations", "gt")
_LISTS = ("classes.txt",)  # YOLO's names of classes, in the folder of its masks
_ENDINGS = (".labels.png", ".entities.json", ".png", ".json", ".txt", ".npy", ".npz", ".xml", ".tif", ".tiff", ".bmp")


class MaskFiles(AnnotatedPhotos):
    """Photos and, for each, a file of masks with the same name, beside it or in another folder.

    Classes are those that JSON and XML files name, in alphabetical order.

    Args:
        folder: the folder of the photos; or one that holds `images/` and `masks/` (or `labels/`, `annotations/`).
        masks: the folder of the masks, or CVAT's XML file about all photos; None: as above.
        images: the folder of the photos; None: as above.

    Raises:
        InputError: the folder or the file does not exist or cannot be read, or no photo has a file of masks.
    """

    def __init__(self, folder: str | Path, masks: str | Path | None = None, images: str | Path | None = None) -> None:
        folder = Path(folder)
        self.name, self.problems = str(folder), Problems()
        inner = folder / "images" if (folder / "images").is_dir() else folder
        photos = inner if images is None else Path(images)
        near = [folder / one for one in _FOLDERS if (folder / one).is_dir()]
        listed = [one.path for one in list_images([photos])[0] if one.path.parent not in near]
        self._by_name = masks is not None and Path(masks).is_file()
        if masks is not None and self._by_name:
            self.name = str(masks)
            masks_of = self._in_file(Path(masks), listed)
        else:
            apart = [Path(masks)] if masks is not None else near
            places = apart if masks is not None else [*near, photos]
            masks_of = {photo: _masks_of(photo, photo.relative_to(photos), places) for photo in listed}
            for name in _without_photo(apart, {photo.relative_to(photos).with_suffix("") for photo in listed}):
                self.problems.add("masks without a photo", name)
        used = set(masks_of.values())
        self._found: list[tuple[str, Path, Path]] = []
        for photo, own in masks_of.items():
            name = photo.relative_to(photos).as_posix()
            if photo in used:  # as the masks of another photo
                continue
            if own is None:
                self.problems.add("photos without a file of masks", name)
            else:
                self._found.append((name, photo, own))
        if not self._found:
            raise InputError(
                f"{folder} does not contain photos with masks; put a file of masks with the photo's name beside each "
                f"photo, or in a folder called masks."
            )
        names = sorted({name for own in dict.fromkeys(own for *_, own in self._found) for name in _classes(own)})
        self.categories = tuple(Category(name, id=number) for number, name in enumerate(names, start=1))
        self._numbers = {name: number for number, name in enumerate(names)}

    def _in_file(self, masks: Path, photos: list[Path]) -> dict[Path, Path | None]:
        """The file about all photos, for each photo that it describes."""
        pictures = [one.names for one in cvat_pictures(masks)]
        found: dict[Path, Path | None] = {}
        described = set()
        for photo in photos:
            try:
                described.add(pick(pictures, photo, str(masks), by_name=True))
                found[photo] = masks
            except InputError:
                found[photo] = None
        for number, names in enumerate(pictures):
            if number not in described:
                self.problems.add(MISSING, names[0] if names else f"number {number}")
        return found

    def __len__(self) -> int:
        return len(self._found)

    def called(self, index: int) -> tuple[int | str, str]:
        """The id and the name of the photo at an index."""
        name = self._found[index][0]
        return name, name

    def photo(self, index: int) -> AnnotatedPhoto:
        """The photo at an index.

        Raises:
            ImageError: the photo or its masks cannot be read.
        """
        name, file, masks = self._found[index]
        size = read_image(file).shape[:2]
        try:
            entities = read_masks(masks, size, photo=file, by_name=self._by_name, may_be_empty=True)
        except ImageError:
            raise
        except EsgError as error:
            raise ImageError(str(error)) from None
        segments = (
            Segment(mask, None if called is None else self._numbers.get(called))
            for mask, called in zip(rle.encode_labels(entities.labels, len(entities)), entities.names, strict=True)
        )
        return AnnotatedPhoto(name, name, size, file, tuple(segments))


def _classes(masks: Path) -> tuple[str, ...]:
    """The names of the classes in a file of masks; none if it cannot be read: that is reported when the masks are."""
    if masks.suffix.lower() not in (".json", ".xml"):
        return ()
    try:
        return class_names(masks)
    except EsgError:
        return ()


def _without_photo(places: list[Path], photos: set[Path]) -> Iterator[str]:
    """The files of masks in folders apart from the photos that do not have the name of any of them."""
    for place in places:
        for file in sorted(place.rglob("*")):
            ending = next((one for one in _ENDINGS if file.name.endswith(one)), None)
            if ending is not None and file.name not in _LISTS and file.is_file():
                inner = file.relative_to(place)
                if inner.with_name(file.name.removesuffix(ending)) not in photos:
                    yield inner.as_posix()


def _masks_of(photo: Path, inner: Path, places: list[Path]) -> Path | None:
    """The first file that has the name of a photo, at the same place below one of the folders."""
    files = (place / inner.with_name(f"{inner.stem}{ending}") for place in places for ending in _ENDINGS)
    return next((file for file in files if file != photo and file.is_file()), None)
