"""The file formats of an EntityMap: COCO JSON and label PNG, read with care and written completely or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL.PngImagePlugin import PngInfo

from ..pictures.reading import check_size, open_picture, write_image
from ..support.checks import type_name
from ..support.errors import ImageError, InputError, OutputError
from ..support.limits import MAX_PIXELS
from ..support.text_files import read_text
from .class_names import UNNAMED, category_ids

if TYPE_CHECKING:
    from .importing.stack import Stack

SCORES_FIELD = "esg:scores"  # PNG text field with the scores as a JSON list, so that a label PNG is complete
NAMES_FIELD = "esg:names"  # the same for names, if there are any


def coco_dict(
    masks: list[Any],
    scores: np.ndarray,
    areas: np.ndarray,
    boxes: np.ndarray,
    size: tuple[int, ...],
    image_id: int,
    file_name: str,
    names: Sequence[str | None] | None = None,
) -> dict[str, Any]:
    """The COCO dict of one picture's entities; see `EntityMap.to_coco`."""
    names = [None] * len(masks) if names is None else names
    categories = category_ids(names)
    annotations = [
        {
            "id": number,
            "image_id": image_id,
            "category_id": categories[name or UNNAMED],
            "segmentation": mask,
            "bbox": [int(x0), int(y0), int(x1 - x0), int(y1 - y0)],
            "area": int(area),
            "iscrowd": 0,
            "score": float(str(score)),  # the shortest decimal that is this float32
        }
        for number, (mask, score, area, (x0, y0, x1, y1), name) in enumerate(
            zip(masks, scores, areas, boxes, names, strict=True), start=1
        )
    ]
    image = {"id": image_id, "width": size[1], "height": size[0], "file_name": file_name}
    listed = [{"id": number, "name": name} for name, number in categories.items()]
    return {"images": [image], "annotations": annotations, "categories": listed}


def read_coco(
    source: Mapping[str, Any] | str | Path, image_id: int | str | None = None, *, max_pixels: int = MAX_PIXELS
) -> Stack:
    """The masks of one picture; see `EntityMap.from_coco`."""
    if not isinstance(source, (Mapping, str, Path)):
        raise InputError(f"COCO annotations must be a dict or the path of a JSON file, not {type_name(source)}.")
    name = "The COCO dict" if isinstance(source, Mapping) else str(source)
    content = source if isinstance(source, Mapping) else load_json(Path(source))
    if not isinstance(content, Mapping):
        raise InputError(f'{name} is not in COCO\'s format: it must be a JSON object with "images" and "annotations".')
    from .importing.coco import picture_of  # it imports this file
    from .importing.items import collect

    picture = picture_of(content, image_id, name)
    if picture.size is None:
        raise InputError(f"{name} is not in COCO's format: its picture does not have a height and a width.")
    try:
        check_size(picture.size[::-1], name, max_pixels)
    except ImageError as error:
        raise InputError(*error.args) from None
    return collect(picture.items(), picture.size, name)


def load_json(path: Path) -> Any:
    """Reads JSON as people and programs write it.

    Comments, a comma after the last entry and line breaks within texts are accepted. Several values in one file, as in
    JSON Lines, become a list.

    Raises:
        InputError: it cannot be read or is not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        raise InputError(f"{path} is not a readable JSON file: it is nested too deeply.") from None
    except ValueError as error:
        found = _each_value(text) or _each_value(_without_extras(text))
        if found:
            return found[0] if len(found) == 1 else found
        raise InputError(f"{path} is not a JSON file, or is incomplete{_where(text, error)}.") from None


_STRING_OR_EXTRA = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/|,(?=\s*[\]}])', re.DOTALL)


def _without_extras(text: str) -> str:
    """JSON without comments, and without a comma after the last entry of a list or object."""
    for _ in range(2):  # a comma may have a comment after it
        text = _STRING_OR_EXTRA.sub(lambda found: found[1] or "", text)
    return text


def _each_value(text: str) -> list[Any]:
    """The values of a text that holds several, one after the other; empty unless each is an object or a list."""
    decoder, found, place = json.JSONDecoder(strict=False), [], 0
    while place < len(text):
        if text[place] in " \t\r\n,\ufeff":
            place += 1
            continue
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return []
        found.append(value)
    return found if all(isinstance(one, (dict, list)) for one in found) else []


def _where(text: str, error: ValueError) -> str:
    """Where and why a text is not JSON, as the end of a sentence."""
    if not isinstance(error, json.JSONDecodeError):
        return ""
    place = f" (line {error.lineno}, column {error.colno})"
    if not text[error.pos :].strip():
        return f"{place}: it ends too early"
    if re.match(r"\s*[{\[]\s*\{?\s*'", text):
        return f"{place}: it has single quotes, as Python prints them; write it with json.dump"
    return place


def write_labels_png(
    path: str | Path, labels: np.ndarray, scores: np.ndarray, names: Sequence[str | None] = ()
) -> None:
    """Writes (H, W) labels as a 16-bit grey PNG with scores and names in it; see `EntityMap.save_labels_png`."""
    if len(scores) > 65535:
        raise OutputError(f"A 16-bit PNG can hold at most 65535 entities, not {len(scores)}; save them as COCO JSON.")
    fields = PngInfo()
    fields.add_text(SCORES_FIELD, json.dumps([float(str(score)) for score in scores], separators=(",", ":")), zip=True)
    if any(names):
        fields.add_text(NAMES_FIELD, json.dumps(names, separators=(",", ":")), zip=True)
    write_image(path, labels.astype(np.uint16), pnginfo=fields)


def read_labels_png(
    path: str | Path, *, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, list[float] | None, list[str | None] | None]:
    """The (H, W) labels of a grey or palette PNG, its scores and names, if any; see `EntityMap.from_labels_png`."""
    try:
        with open_picture(path, max_pixels=max_pixels) as picture:
            if picture.format != "PNG":  # lossy formats change the ids
                raise InputError(f"{path} is not a label map: it is a {picture.format} picture, not a grey PNG.")
            if picture.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
                raise InputError(f"{path} is not a label map: it is a picture of mode {picture.mode}, not a grey PNG.")
            labels = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
            stored, names = picture.info.get(SCORES_FIELD), picture.info.get(NAMES_FIELD)
    except ImageError as error:
        raise InputError(*error.args) from None
    return labels, None if stored is None else read_scores(stored, path), read_names(names, path)


def read_scores(field: str, path: str | Path) -> list[float]:
    """The scores in the text field of a label PNG."""
    try:
        return [float(score) for score in json.loads(field)]
    except (TypeError, ValueError):
        raise InputError(f"{path} has damaged scores in its field {SCORES_FIELD}.") from None


def read_names(field: str | None, path: str | Path) -> list[str | None] | None:
    """The names in the text field of a label PNG, or None if it does not have one."""
    try:
        names = None if field is None else [*json.loads(field)]
    except (TypeError, ValueError):
        names = [0]
    if names and not all(name is None or isinstance(name, str) for name in names):
        raise InputError(f"{path} has damaged names in its field {NAMES_FIELD}.")
    return names
