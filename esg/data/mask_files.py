"""Photos with one file of masks each, in any format that ESG reads: label maps, LabelMe, YOLO, stacks of masks ..."""

from __future__ import annotations

from pathlib import Path

from ..entities import rle
from ..entities.importing.reading import read_masks
from ..pictures.listing import list_images
from ..pictures.reading import read_image
from ..support.errors import EsgError, ImageError, InputError
from .annotated import AnnotatedPhoto, AnnotatedPhotos, Segment
from .problems import Problems

_FOLDERS = ("masks", "labels", "annotations", "gt")
_ENDINGS = (".labels.png", ".entities.json", ".png", ".json", ".txt", ".npy", ".npz", ".xml", ".tif", ".tiff", ".bmp")


class MaskFiles(AnnotatedPhotos):
    """Photos and, for each, a file of masks with the same name, beside it or in another folder.

    Args:
        folder: the folder of the photos; or one that holds `images/` and `masks/` (or `labels/`, `annotations/`).
        masks: the folder of the masks; None: as above.

    Raises:
        InputError: the folder does not exist, or no photo has a file of masks.
    """

    def __init__(self, folder: str | Path, masks: str | Path | None = None) -> None:
        folder = Path(folder)
        self.name, self.problems = str(folder), Problems()
        photos = folder / "images" if (folder / "images").is_dir() else folder
        near = [folder / one for one in _FOLDERS if (folder / one).is_dir()]
        places = [Path(masks)] if masks is not None else [*near, photos]
        listed = [one.path for one in list_images([photos])[0] if one.path.parent not in near]
        masks_of = {photo: _masks_of(photo, photo.relative_to(photos), places) for photo in listed}
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

    def __len__(self) -> int:
        return len(self._found)

    def photo(self, index: int) -> AnnotatedPhoto:
        """The photo at an index.

        Raises:
            ImageError: the photo or its masks cannot be read.
        """
        name, file, masks = self._found[index]
        size = read_image(file).shape[:2]
        try:
            entities = read_masks(masks, size, photo=file, may_be_empty=True)
        except ImageError:
            raise
        except EsgError as error:
            raise ImageError(str(error)) from None
        segments = tuple(Segment(mask) for mask in rle.encode_labels(entities.labels, len(entities)))
        return AnnotatedPhoto(name, name, size, file, segments)


def _masks_of(photo: Path, inner: Path, places: list[Path]) -> Path | None:
    """The first file that has the name of a photo, at the same place below one of the folders."""
    files = (place / inner.with_name(f"{inner.stem}{ending}") for place in places for ending in _ENDINGS)
    return next((file for file in files if file != photo and file.is_file()), None)
