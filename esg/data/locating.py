"""Finds the photos and pictures that an annotation file names, in the folders where data sets keep them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath


def inner_path(name: str) -> PurePosixPath:
    """A file name in an annotation file as a path that stays below the folder it is put in."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..") and ":" not in part]
    return PurePosixPath(*parts)


class Locator:
    """Finds files below some folders.

    A name with folders, such as `entity_01_11580/a.jpg`, is looked for as it stands, and then by its last part.

    Args:
        folders: where to look, first ones first.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(dict.fromkeys(folders))

    def find(self, name: str) -> Path | None:
        """The file called `name`; None if it is in none of the folders."""
        path = inner_path(name)
        if not path.parts:
            return None
        for folder in self.folders:
            for place in dict.fromkeys((folder / path, folder / path.name)):
                try:
                    if place.is_file():
                        return place
                except (OSError, ValueError):  # names that the system refuses
                    continue
        return None


def photo_folders(annotations: Path, images: Path | None) -> list[Path]:
    """Where the photos of an annotation file may be: the given folder, or `images/` and the like near the file."""
    if images is not None:
        return [images]
    folder = annotations.parent
    near = [folder / "images", folder / annotations.stem, folder]
    above = folder.parent
    # COCO keeps its files as annotations/instances_val2017.json and val2017/a.jpg.
    tail = annotations.stem.rpartition("_")[2]
    return [*near, folder / tail, above / "images" / tail, above / tail, above / "images"]
