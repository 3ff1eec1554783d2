"""Writes the files that a visitor exports, at the photo's own size."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from esg import EntityMap, Grounding, InputError, grounding_page, overlay, write_image

from .editing import Area, mask_of
from .export import needs_files, write_workflow
from .message import DownloadRequest
from .picture import new_folder, private_file
from .visit import Visit


def save(visit: Visit, data: Mapping[str, Any]) -> str:
    """Writes one file.

    Args:
        visit: the visit with the photo, entities and words to write.
        data: the browser's request, see `DownloadRequest`.

    Returns:
        The path of the file.

    Raises:
        EsgError: the request is invalid, something that the file needs is missing, the entities have changed since the
            request, or the file cannot be written.
    """
    request = DownloadRequest.read(data)
    if request.what not in FILES:
        raise InputError(f"The page cannot write a file of the kind {request.what!r}; reload it.")
    ending, write = FILES[request.what]
    visit.need_photo()
    if request.what == "workflow" and needs_files(visit, request.chosen.strokes):
        ending = "comfyui.zip"
    path = new_folder() / f"{visit.name}.{ending}"
    write(path, visit, request)
    return str(visit.give(private_file(path)))


def _shown(visit: Visit, request: DownloadRequest) -> EntityMap:
    return visit.need_entities(request.chosen.shown, map_number=request.chosen.map_number)


def _selection(visit: Visit, request: DownloadRequest) -> EntityMap:
    """The selection, with the strokes of the brush, as one entity."""
    mask = mask_of(visit.need_photo(), _shown(visit, request), Area(request.chosen.ids, request.chosen.strokes))
    return EntityMap.from_labels(mask.astype(np.int32))


def _labels(path: Path, visit: Visit, request: DownloadRequest) -> None:
    _shown(visit, request).save_labels_png(path)


def _coco(path: Path, visit: Visit, request: DownloadRequest) -> None:
    _shown(visit, request).save_coco(path, file_name=visit.file)


def _masks(path: Path, visit: Visit, request: DownloadRequest) -> None:
    entities = _shown(visit, request)
    digits = len(str(len(entities)))
    masks = {f"{number:0{digits}}": number for number in request.chosen.ids or range(1, len(entities) + 1)}
    if request.chosen.strokes:  # they do not belong to a single entity
        entities, masks = _selection(visit, request), {"selection": 1}
    with zipfile.ZipFile(path, "w") as archive:  # PNGs are compressed already
        for called, number in masks.items():
            content = io.BytesIO()
            Image.fromarray(entities.mask(number)).save(content, "png")
            archive.writestr(f"{visit.name}.{called}.png", content.getvalue())


def _overlay(path: Path, visit: Visit, request: DownloadRequest) -> None:
    entities = _shown(visit, request)
    shown = overlay(visit.need_photo(), entities, alpha=request.opacity, numbers=request.numbers)
    write_image(path, shown, quality=92, icc_profile=visit.metadata.profile)


def _cutout(path: Path, visit: Visit, request: DownloadRequest) -> None:
    entities, ids = _shown(visit, request), request.chosen.ids
    if request.chosen.strokes:
        entities, ids = _selection(visit, request), (1,)
    picture = visit.to_write()
    pixels = entities.cutout(np.ascontiguousarray(picture[..., :3]), ids)
    if picture.shape[2] == 4:  # transparent parts of the photo stay transparent
        pixels[..., 3] = entities.cutout(picture[..., [3, 3, 3]], ids)[..., 0]
    write_image(path, pixels, metadata=visit.metadata)


def _workflow(path: Path, visit: Visit, request: DownloadRequest) -> None:
    visit.need_entities(map_number=request.chosen.map_number)
    write_workflow(path, visit, request.chosen.shown, request.chosen.ids, request.chosen.strokes)


def _grounded(visit: Visit, request: DownloadRequest) -> tuple[EntityMap, Grounding]:
    if visit.grounding is None:
        raise InputError("Ground some words first (Ground, in the tab Words).")
    return visit.need_entities(map_number=request.chosen.map_number), visit.grounding


def _grounding(path: Path, visit: Visit, request: DownloadRequest) -> None:
    _grounded(visit, request)[1].save(path)


def _page(path: Path, visit: Visit, request: DownloadRequest) -> None:
    entities, grounding = _grounded(visit, request)
    profile = visit.metadata.profile
    text = grounding_page(visit.need_photo(), entities, grounding, title=visit.name, icc_profile=profile)
    path.write_text(text, encoding="utf-8")


def _result(path: Path, visit: Visit, request: DownloadRequest) -> None:
    write_image(path, visit.to_write(), metadata=visit.metadata)


FILES = {  # the end of the file's name, and the function that writes it
    "labels": ("labels.png", _labels),
    "coco": ("entities.json", _coco),
    "masks": ("masks.zip", _masks),
    "overlay": ("overlay.jpg", _overlay),
    "cutout": ("cutout.png", _cutout),
    "workflow": ("comfyui.json", _workflow),
    "grounding": ("grounding.json", _grounding),
    "page": ("grounding.html", _page),
    "result": ("edited.png", _result),
}
