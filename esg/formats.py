"""The files an EntityMap is kept in: COCO JSON and label PNG, read with care and written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL.PngImagePlugin import PngInfo

from .checks import kind_of
from .errors import ImageError, InputError, OutputError
from .images import check_size, open_picture, write_image
from .limits import MAX_PIXELS
from .rle import Rle, encode_mask, size_of

SCORES_FIELD = "esg:scores"  # PNG text field with the scores as a JSON list, so that a label PNG is complete
_CROSSINGS_AT_ONCE = 1 << 20  # of the edges of a polygon and the rows of a picture


def coco_dict(
    rles: list[Rle],
    scores: np.ndarray,
    areas: np.ndarray,
    boxes: np.ndarray,
    size: tuple[int, ...],
    image_id: int,
    file_name: str,
) -> dict[str, Any]:
    """The COCO dict of one picture's entities; see `EntityMap.to_coco`."""
    annotations = [
        {
            "id": number,
            "image_id": image_id,
            "category_id": 1,
            "segmentation": mask,
            "bbox": [int(x0), int(y0), int(x1 - x0), int(y1 - y0)],
            "area": int(area),
            "iscrowd": 0,
            "score": float(str(score)),  # the shortest decimal that is this float32
        }
        for number, (mask, score, area, (x0, y0, x1, y1)) in enumerate(
            zip(rles, scores, areas, boxes, strict=True), start=1
        )
    ]
    image = {"id": image_id, "width": size[1], "height": size[0], "file_name": file_name}
    return {"images": [image], "annotations": annotations, "categories": [{"id": 1, "name": "entity"}]}


def read_coco(
    source: Mapping[str, Any] | str | Path, image_id: int | str | None = None, *, max_pixels: int = MAX_PIXELS
) -> tuple[list[Rle], list[float], tuple[int, int]]:
    """The masks as RLE, their scores, and height, width of one picture; see `EntityMap.from_coco`."""
    if not isinstance(source, (Mapping, str, Path)):
        raise InputError(f"COCO annotations are a dict or the path of a JSON file, not {kind_of(source)}.")
    name = "The COCO dict" if isinstance(source, Mapping) else str(source)
    content = source if isinstance(source, Mapping) else load_json(Path(source))
    if not isinstance(content, Mapping):
        raise InputError(f'{name} is not in COCO\'s format: it must be a JSON object with "images" and "annotations".')
    with one_sentence(name):
        image = _pick_image(content["images"], image_id, name)
        size = int(image["height"]), int(image["width"])
        mine = [one for one in content["annotations"] if one.get("image_id", image["id"]) == image["id"]]
    try:
        check_size(size[::-1], name, max_pixels)
    except ImageError as error:
        raise InputError(str(error)) from None
    return *read_annotations(mine, size, name), size


def read_annotations(
    annotations: Iterable[Mapping[str, Any]], size: tuple[int, int], name: str
) -> tuple[list[Rle], list[float]]:
    """The masks of annotations as RLE, and their scores: "score", else SAM's "predicted_iou", else 1.

    Args:
        annotations: of one picture, as COCO has them: compressed or uncompressed RLE or polygons.
        size: height, width of the picture.
        name: what the annotations are from, for the sentence of an error.

    Raises:
        InputError: an annotation is malformed, its score is no number, or its RLE has another size.
    """
    masks, scores = [], []
    with one_sentence(name):
        for number, one in enumerate(annotations, start=1):
            masks.append(_as_rle(one["segmentation"], *size))
            scores.append(_score(one.get("score", one.get("predicted_iou", 1.0)), f"{name}: mask {number}"))
    for mask in masks:
        if size_of(mask) != size:
            raise InputError(f"{name}: a mask has height, width {size_of(mask)}, but its picture has {size}.")
    return masks, scores


@contextmanager
def one_sentence(name: str) -> Iterator[None]:
    """What goes wrong where malformed COCO data is read becomes an InputError about `name`."""
    try:
        yield
    except KeyError as error:
        raise InputError(f'{name} is not in COCO\'s format: "{error.args[0]}" is missing.') from None
    except (AttributeError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} is not in COCO's format: {error}.") from None


def load_json(path: Path) -> Any:
    """The content of a JSON file; InputError when it cannot be read or is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is no JSON file, or not a whole one.") from None


def _pick_image(images: list[dict[str, Any]], image_id: int | str | None, name: str) -> dict[str, Any]:
    if image_id is None and len(images) != 1:
        raise InputError(f"{name} describes {len(images)} pictures; say which one with image_id.")
    matching = [image for image in images if image_id is None or image["id"] == image_id]
    if not matching:
        raise InputError(f"{name} has no picture with id {image_id!r}.")
    return matching[0]


def _score(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} has no number as its score; write one, or leave the score out.") from None


def _as_rle(segmentation: Any, height: int, width: int) -> Rle:
    if isinstance(segmentation, Mapping):
        return dict(segmentation)
    polygons = [np.asarray(points, np.float64).reshape(-1, 2) for points in segmentation]
    if not all(len(points) >= 3 and (np.abs(points) < 1e9).all() for points in polygons):
        raise ValueError("a polygon needs at least three points x, y of sensible size")
    return _rle_of_polygons(polygons, height, width)


def _rle_of_polygons(polygons: list[np.ndarray], height: int, width: int) -> Rle:
    """The union of polygons with points (P, 2) x, y in pixels, (0, 0) the picture's outer corner.

    A pixel is inside when its centre is, by the even-odd rule, within each polygon.
    """
    points = np.concatenate(polygons) if polygons else np.zeros((1, 2))
    left, top = np.clip(np.floor(points.min(axis=0)), 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(points.max(axis=0)), (left + 1, top + 1), (width, height)).astype(int)
    inside = np.zeros((bottom - top, right - left), bool)
    for polygon in polygons:
        inside |= _fill(polygon - (left, top), *inside.shape)
    return encode_mask(inside, corner=(int(left), int(top)), size=(height, width))


def _fill(points: np.ndarray, height: int, width: int) -> np.ndarray:
    (x0, y0), (x1, y1) = points.T, np.roll(points, -1, axis=0).T
    # Rows whose centre line an edge crosses, half open so that a shared corner counts once.
    first, last = (np.clip(np.ceil(f(y0, y1) - 0.5), 0, height).astype(int) for f in (np.minimum, np.maximum))
    crossings = np.zeros((height, width + 1), bool)
    total = np.cumsum(last - first)
    groups = np.searchsorted(total, np.arange(_CROSSINGS_AT_ONCE, total[-1], _CROSSINGS_AT_ONCE))
    for some in np.split(np.arange(len(points)), groups):
        rows = (last - first)[some]
        edge = np.repeat(some, rows)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(rows) - rows - first[some], rows)
        x = x0[edge] + (row + 0.5 - y0[edge]) * ((x1 - x0)[edge] / (y1 - y0)[edge])
        np.logical_xor.at(crossings, (row, np.clip(np.ceil(x - 0.5), 0, width).astype(int)), True)
    return np.logical_xor.accumulate(crossings, axis=1)[:, :width]


def write_labels_png(path: str | Path, labels: np.ndarray, scores: np.ndarray) -> None:
    """Writes (H, W) labels as 16 bit grey PNG with the scores in a text field; see `EntityMap.save_labels_png`."""
    if len(scores) > 65535:
        raise OutputError(f"A 16 bit PNG holds at most 65535 entities, not {len(scores)}; save them as COCO JSON.")
    fields = PngInfo()
    fields.add_text(SCORES_FIELD, json.dumps([float(str(score)) for score in scores], separators=(",", ":")), zip=True)
    write_image(path, labels.astype(np.uint16), pnginfo=fields)


def read_labels_png(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, list[float] | None]:
    """The (H, W) labels of a grey or palette PNG and the scores in it, if any; see `EntityMap.from_labels_png`."""
    try:
        with open_picture(path, max_pixels=max_pixels) as picture:
            if picture.format != "PNG":  # lossy formats change the ids
                raise InputError(f"{path} holds no labels: it is a {picture.format} picture, not a grey PNG.")
            if picture.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
                raise InputError(f"{path} holds no labels: it is a picture of mode {picture.mode}, not a grey PNG.")
            labels = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
            stored = picture.info.get(SCORES_FIELD)
    except ImageError as error:
        raise InputError(str(error)) from None
    try:
        return labels, None if stored is None else [float(score) for score in json.loads(stored)]
    except (TypeError, ValueError):
        raise InputError(f"{path} carries damaged scores in its field {SCORES_FIELD}.") from None
