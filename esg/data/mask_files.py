"""Photos with one file of masks each, in any format that ESG reads: label maps, LabelMe, YOLO, stacks of masks ..."""

from __future__ import annotations

from pathlib import Path

from ..entities import rle
from ..entities.importing.reading import read_masks
from ..pictures.listing import SUFFIXES, list_images
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
        self._found: list[tuple[str, Path, Path]] = []
        listed, _ = list_images([photos])
        for photo in listed:
            inner = photo.path.relative_to(photos)
            if photo.path.parent in near:
                continue
            own = [
                file
                for place in places
                for ending in _ENDINGS
                if (file := place / inner.with_name(f"{inner.stem}{ending}")).is_file() and file != photo.path
            ]
            if own:
                self._found.append((inner.as_posix(), photo.path, own[0]))
            else:
                self.problems.add("photos without a file of masks", inner.as_posix())
        masked = {masks for *_, masks in self._found}
        self._found = [one for one in self._found if one[1] not in masked]  # masks are not photos
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


def has_mask_files(folder: Path) -> bool:
    """Whether a folder looks like one for `MaskFiles`."""
    if (folder / "images").is_dir() and any((folder / one).is_dir() for one in _FOLDERS):
        return True
    names = {path.name for path in folder.iterdir() if path.is_file()}
    photos = [Path(name) for name in names if Path(name).suffix.lower() in SUFFIXES]
    return any(
        f"{photo.stem}{ending}" in names and f"{photo.stem}{ending}" != photo.name
        for photo in photos
        for ending in _ENDINGS
    )
