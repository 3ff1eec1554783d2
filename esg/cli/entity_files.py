"""The files that `esg segment` writes for each photo, and the one that it writes for all photos together."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ..entities.class_names import UNNAMED, category_ids
from ..support.errors import ImageError, OutputError
from ..support.files import write_atomically
from .results import check_folder, make_folder, save_together

if TYPE_CHECKING:
    import numpy as np

    from ..entities.entity_map import EntityMap
    from ..entities.scored_masks import ScoredMask
    from ..pictures.listing import InputPhoto
    from ..pictures.reading import Photo

KINDS = {
    "overlay": "the photo with its entities coloured and numbered",
    "labels": "16-bit grey PNG whose pixels are entity ids",
    "coco": "JSON with RLE, score, box and area of every entity",
    "masks": "one PNG per entity in NAME.masks",
    "polygons": "COCO JSON with polygons",
    "labelme": "LabelMe JSON",
    "yolo": "YOLO text with outlines",
    "cvat": "CVAT XML for images",
    "panoptic": "COCO panoptic PNG and JSON",
    "overlapping": "COCO results: masks that may overlap, with scores, as average precision needs them",
}
ENDINGS = {  # of the file names
    "overlay": (".overlay.jpg",),
    "labels": (".labels.png",),
    "coco": (".entities.json",),
    "masks": (".masks",),
    "polygons": (".polygons.json",),
    "labelme": (".json",),
    "yolo": (".txt",),
    "cvat": (".cvat.xml",),
    "panoptic": (".panoptic.png", ".panoptic.json"),
    "overlapping": (".masks.json",),
}
JPEG_SIDE = 65500  # pixels; the longest side that all JPEG libraries accept


def check_size(pixels: np.ndarray, path: Path, kinds: list[str]) -> None:
    """Raises ImageError, before the work, if the picture is too large for one of these kinds of files."""
    longest = max(pixels.shape[:2])
    if "overlay" in kinds and longest > JPEG_SIDE:
        raise ImageError(
            f"{path} is {longest:,} pixels long, but a JPEG overlay can have at most {JPEG_SIDE:,}; "
            "omit it with --save labels,coco."
        )


def save(
    entities: EntityMap | None,
    source: Photo,
    photo: InputPhoto,
    folder: Path,
    kinds: list[str],
    masks: Sequence[ScoredMask] = (),
) -> int:
    """Writes the files of these kinds below `folder`; see `results.save_together`, also for the return value.

    Args:
        entities: for all kinds but "overlapping".
        masks: for "overlapping".
    """

    def write(stem: Path) -> None:
        for kind in kinds:
            if kind == "overlapping":
                _save_overlapping(masks, photo, stem)
            elif entities is None:
                continue
            elif kind == "overlay":
                _save_overlay(entities, source, stem)
            else:
                _WRITERS[kind](entities, source.pixels, photo, stem)

    earlier = folder / f"{photo.name}.masks"
    stale = [path for path in earlier.glob("[0-9]*.png") if path.is_file()] if "masks" in kinds else []
    return save_together(folder, photo.name, write, stale)


class DataSet:
    """One COCO file for many photos, with unique ids for photos and annotations."""

    def __init__(self, path: Path, *, polygons: bool = False) -> None:
        self.path, self.polygons = path, polygons
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._names: list[str | None] = []  # of every annotation

    def __len__(self) -> int:
        return len(self._images)

    def check(self) -> None:
        """Raises OutputError, before the work, unless the file can be written."""
        if self.path.is_dir():
            raise OutputError(f"{self.path} is a folder; give a file name, such as coco.json.")
        check_folder(self.path.parent)

    def add(self, entities: EntityMap, photo: InputPhoto) -> None:
        """Adds the entities of a photo."""
        made = entities.to_coco(image_id=len(self) + 1, file_name=_file_name(photo), polygons=self.polygons)
        self._images += made["images"]
        begin = len(self._annotations)
        self._annotations += [{**one, "id": begin + one["id"]} for one in made["annotations"]]
        self._names += entities.names

    def write(self) -> None:
        """Writes the file; OutputError if that fails, and then no file is left."""
        ids = category_ids(self._names)
        annotations = [
            {**one, "category_id": ids[name or UNNAMED]} for one, name in zip(self._annotations, self._names)
        ]
        categories = [{"id": number, "name": name} for name, number in ids.items()]
        make_folder(self.path.parent)
        _write_json(self.path, {"images": self._images, "annotations": annotations, "categories": categories})


def _file_name(photo: InputPhoto) -> str:
    """The photo's name as it is written into files: relative to the folder that was given."""
    name = PurePath(photo.name).with_name(photo.path.name).as_posix()
    return os.fsencode(name).decode("utf-8", "replace")  # a file name need not be valid text, but JSON must be


def _write_json(path: Path, content: Any) -> None:
    _write_text(path, json.dumps(content, ensure_ascii=False, separators=(",", ":")))


def _write_text(path: Path, text: str) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _save_overlay(entities: EntityMap, source: Photo, stem: Path) -> None:
    from ..drawing.overlay import overlay
    from ..pictures.reading import write_image

    named = enumerate(entities.names, start=1)
    texts = [f"{number} {name}" if name else "" for number, name in named]
    shown = overlay(source.pixels, entities, numbers=True, texts=texts)  # its colours are values in the photo's profile
    write_image(f"{stem}.overlay.jpg", shown, quality=92, subsampling=0, icc_profile=source.profile)


def _save_overlapping(masks: Sequence[ScoredMask], photo: InputPhoto, stem: Path) -> None:
    from ..entities.scored_masks import coco_results

    name = _file_name(photo)
    number = PurePath(name).stem  # pictures of COCO are called by their ids
    _write_json(Path(f"{stem}.masks.json"), coco_results(masks, int(number) if number.isdecimal() else name, name))


def _save_labels(entities: EntityMap, pixels: np.ndarray, photo: InputPhoto, stem: Path) -> None:
    entities.save_labels_png(f"{stem}.labels.png")


def _save_coco(entities: EntityMap, pixels: np.ndarray, photo: InputPhoto, stem: Path) -> None:
    entities.save_coco(f"{stem}.entities.json", file_name=_file_name(photo))


def _save_polygons(entities: EntityMap, pixels: np.ndarray, photo: InputPhoto, stem: Path) -> None:
    entities.save_coco(f"{stem}.polygons.json", file_name=_file_name(photo), polygons=True)


def _save_masks(entities: EntityMap, pixels: np.ndarray, photo: InputPhoto, stem: Path) -> None:
    import numpy as np

    from ..pictures.reading import write_image

    for number in range(1, len(entities) + 1):
        write_image(f"{stem}.masks/{number}.png", entities.mask(number).astype(np.uint8) * np.uint8(255))


def _save_labelme(entities: EntityMap, pixels: np.ndarray, photo: InputPhoto, stem: Path) -> None:
    from ..entities.importing.labelme import labelme_dict

    name = PurePath(_file_name(photo)).name  # LabelMe looks for the photo beside the file
    _write_json(Path(f"{stem}.json"), labelme_dict(entities, name))


def _save_yolo(entities: EntityMap, pixels: np.ndarray, photo: InputPhoto, stem: Path) -> None:
    from ..entities.importing.yolo import yolo_text

    _write_text(Path(f"{stem}.txt"), yolo_text(entities))


def _save_cvat(entities: EntityMap, pixels: np.ndarray, photo: InputPhoto, stem: Path) -> None:
    from ..entities.importing.cvat import cvat_xml

    _write_text(Path(f"{stem}.cvat.xml"), cvat_xml([(entities, _file_name(photo))]))


def _save_panoptic(entities: EntityMap, pixels: np.ndarray, photo: InputPhoto, stem: Path) -> None:
    from ..entities.importing.panoptic import panoptic_colours, panoptic_dict
    from ..pictures.reading import write_image

    write_image(f"{stem}.panoptic.png", panoptic_colours(entities))
    _write_json(
        Path(f"{stem}.panoptic.json"), panoptic_dict(entities, _file_name(photo), f"{PurePath(stem).name}.panoptic.png")
    )


_WRITERS: dict[str, Callable[[EntityMap, np.ndarray, InputPhoto, Path], None]] = {
    "labels": _save_labels,
    "coco": _save_coco,
    "masks": _save_masks,
    "polygons": _save_polygons,
    "labelme": _save_labelme,
    "yolo": _save_yolo,
    "cvat": _save_cvat,
    "panoptic": _save_panoptic,
}
