"""Opens a data set in the format that it has."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..entities.files import load_json
from ..entities.importing.panoptic import is_panoptic
from ..support.errors import InputError
from .annotated import AnnotatedPhotos
from .bsds import BsdsPhotos
from .coco import CocoInstances
from .foreground import FOLDERS, ForegroundPhotos
from .mask_files import MaskFiles
from .panoptic import CocoPanoptic

FORMS = (
    "a COCO JSON file, CVAT's XML file, a folder with panoptic.json or instances.json and images/, a folder of photos "
    "with a mask file each, photos ID.jpg with ID_0.png and so on (BSDS500), or im/ and gt/ (DIS5K)"
)


def open_photos(path: str | Path, images: str | Path | None = None) -> AnnotatedPhotos:
    """The photos of an annotation file or of a folder, in the format that it has.

    Args:
        path: one of `FORMS`: the names of the files show the format, and for JSON its content.
        images: the folder of the photos; None: found near the annotations.

    Raises:
        InputError: the path does not exist, or its format is unknown.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() == ".xml":
        return MaskFiles(path.parent, path, images)
    if path.is_file():
        return _open_file(path, images)
    if not path.is_dir():
        raise InputError(f"{path} does not exist; give {FORMS}.")
    if (path / "panoptic.json").is_file():
        return CocoPanoptic(path, images)
    if (path / "instances.json").is_file():
        return CocoInstances(path, images)
    exported = sorted(path.glob("_annotations*.coco.json"))  # Roboflow, SGinW
    if exported:
        return CocoInstances(exported[0], images or path)
    if any(all((path / one).is_dir() for one in pair) for pair in FOLDERS):
        return ForegroundPhotos(path)
    if any(path.glob("*_0.png")) and any(path.glob("*.jpg")):
        return BsdsPhotos(path)
    with suppress(InputError):
        return MaskFiles(path, images=images)
    for kind in ("json", "xml"):
        lists = sorted([*path.glob(f"*.{kind}"), *path.glob(f"annotations/*.{kind}")])
        if len(lists) == 1:
            return open_photos(lists[0], images)
        if lists:
            raise InputError(
                f"{path} has {len(lists)} {kind.upper()} files, {lists[0].name} and others; give the one with the "
                "annotations."
            )
    raise InputError(f"{path} does not contain labelled photos; give {FORMS}.")


def _open_file(path: Path, images: str | Path | None) -> AnnotatedPhotos:
    content = load_json(path)
    if not isinstance(content, Mapping) or "images" not in content:
        raise InputError(f"{path} is not in COCO's format: it does not have a list of images.")
    if is_panoptic(content):
        return CocoPanoptic(path, images, content=content)
    return CocoInstances(path, images, content=content)
