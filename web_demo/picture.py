"""The views of the page that the browser draws, and the data that the server sends to them.

The photo and its label map are sent to the browser once. Hovering, selecting, zooming, opacity, the minimum score, the
table and the cut-out then work without the server; see `browser/`.
"""

from __future__ import annotations

import gzip
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.data_classes import FileData
from gradio.utils import get_upload_folder
from PIL import Image

from esg import EntityMap, InputError, interior_point, palette

BROWSER = Path(__file__).parent / "browser"
LONGEST_SHOWN = 1600  # pixels of the longest side in the browser; areas and exports use the photo's own size


def scripts() -> str:
    """The scripts in the head of the page, which run before its views and are shared by them."""
    names = ("selection", "painting", "uploading", "queue")
    texts = [(BROWSER / f"{name}.js").read_text(encoding="utf-8") for name in names]
    return "".join(f"<script>\n{text}</script>" for text in texts)


def view(name: str) -> gr.HTML:
    """One of the views in `browser/`: picture, entities, words or saving."""
    return gr.HTML(
        html_template=(BROWSER / f"{name}.html").read_text(encoding="utf-8"),
        js_on_load=(BROWSER / f"{name}.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id=name,
    )


def channel(name: str) -> gr.HTML:
    """An invisible component whose values are passed to `receive` in browser/selection.js under this name.

    The browser triggers its event `wanted` to ask for a new value.
    """
    script = """watch("value", () => esg.receive("NAME", props.value)); esg.wants("NAME", () => trigger("wanted"));"""
    return gr.HTML(
        html_template="",
        js_on_load=script.replace("NAME", name),
        visible="hidden",
        elem_id=f"channel-{name}",
    )


def picture_value(
    pixels: np.ndarray,
    entities: EntityMap | None = None,
    *,
    map_number: int = 0,
    min_score: float = 0,
    before: np.ndarray | None = None,
) -> dict[str, Any]:
    """The value of the channel `picture`: all that the browser needs to show a photo.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        entities: the photo's entities; None while they are not known yet.
        map_number: the number of their map, as in `Visit`; the browser sends it along with ids.
        min_score: the initial value of the minimum score.
        before: the original photo, if edits have changed it.

    Returns:
        "photo" and "labels": files of the same size in pixels; the labels are gzipped 16-bit little-endian numbers, row
        by row, since a PNG would pass through the browser's colour management. "size": width and height of these files,
        and "full": those of the photo. "entities": one entry per id with its score, its area in pixels of the photo and
        in percent, its colour, and the point x, y (fractions of width and height) that is farthest from its border,
        with that distance as "radius" (a fraction of the width).
    """
    height, width = pixels.shape[:2]
    value = _part(pixels, entities, slice(0, height), slice(0, width))
    value |= {"full": (width, height), "map_number": map_number, "min_score": min_score}
    value["before"] = None if before is None else _file(Path(shown_file(before)))
    return value if entities is None else {**value, "entities": _entries(entities)}


def edited_value(pixels: np.ndarray, before: np.ndarray | None, *, masked: bool = False) -> dict[str, Any]:
    """The value of the channel `edited`: all that the browser needs to show the same photo after an edit.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        before: the original photo, if edits have changed it.
        masked: whether to show the mask of the selection again; by default it is hidden, so that the result is visible.
    """
    height, width = pixels.shape[:2]
    value = _part(pixels, None, slice(0, height), slice(0, width))
    return {**value, "before": None if before is None else _file(Path(shown_file(before))), "masked": masked}


def detail_value(
    pixels: np.ndarray, entities: EntityMap | None, box: Sequence[float], *, map_number: int = 0
) -> dict[str, Any]:
    """The value of the channel `detail`: a part of a photo at full resolution, or at most `LONGEST_SHOWN` pixels long.

    Args:
        pixels, entities, map_number: as for `picture_value`.
        box: left, top, right, bottom as fractions of width and height; it is widened to whole pixels.

    Returns:
        As for `picture_value`, without "full", "min_score" and "entities", but with the "box" of the part.

    Raises:
        InputError: the box is invalid.
    """
    height, width = pixels.shape[:2]
    try:
        x0, y0, x1, y1 = (float(part) for part in box)
        if not (x0 + 1e-6 >= 0 and x0 < x1 <= 1 + 1e-6 and y0 + 1e-6 >= 0 and y0 < y1 <= 1 + 1e-6):
            raise ValueError
    except (TypeError, ValueError):
        raise InputError("The page asked for a part of the photo that does not exist; reload it.") from None
    left, top = np.clip([int(x0 * width), int(y0 * height)], 0, [width - 1, height - 1]).tolist()
    right, bottom = min(int(np.ceil(x1 * width)), width), min(int(np.ceil(y1 * height)), height)
    value = _part(pixels, entities, slice(top, bottom), slice(left, right))
    return {**value, "map_number": map_number, "box": (left / width, top / height, right / width, bottom / height)}


def image_value(pixels: np.ndarray, picture: int) -> dict[str, Any]:
    """The value of the channel `mask`: the file of a picture with alpha, (h, w, 4) uint8, as "photo", and the number of
    the picture that it is laid over as "picture"."""
    path = new_folder() / "mask.png"
    Image.fromarray(pixels).save(path, compress_level=1)
    return {"photo": _file(path), "picture": picture}


def shown_file(pixels: np.ndarray) -> str:
    """Writes a JPEG of a photo at the size for the browser and returns its path."""
    folder = new_folder()
    _shown(pixels).save(folder / "photo.jpg", quality=92)
    return str(private_file(folder / "photo.jpg"))


def new_folder() -> Path:
    """A new folder among the files that Gradio serves and later deletes; its name cannot be guessed."""
    uploads = Path(get_upload_folder())
    uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = uploads / secrets.token_hex(20)
    folder.mkdir(mode=0o700)
    return folder


def private_file(path: Path) -> Path:
    """The file, after making it unreadable for other users of this machine."""
    path.chmod(0o600)
    return path


def _part(pixels: np.ndarray, entities: EntityMap | None, rows: slice, columns: slice) -> dict[str, Any]:
    photo = _shown(pixels[rows, columns])
    folder = new_folder()
    photo.save(folder / "photo.jpg", quality=92)
    value = {"photo": _file(folder / "photo.jpg"), "size": photo.size}
    if entities is None:
        return value
    labels = entities.labels[rows, columns]
    y = ((np.arange(photo.height) + 0.5) * labels.shape[0] / photo.height).astype(int)
    x = ((np.arange(photo.width) + 0.5) * labels.shape[1] / photo.width).astype(int)
    small = np.ascontiguousarray(labels[y[:, None], x], dtype="<u2")
    (folder / "labels.bin").write_bytes(gzip.compress(small.tobytes(), compresslevel=1))
    return {**value, "labels": _file(folder / "labels.bin")}


def _shown(pixels: np.ndarray) -> Image.Image:
    height, width = pixels.shape[:2]
    scale = min(1.0, LONGEST_SHOWN / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    photo = Image.fromarray(pixels)
    return photo if size == photo.size else photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=2)


def _entries(entities: EntityMap) -> list[dict[str, Any]]:
    entries = []
    for number, (score, area, colour) in enumerate(
        zip(entities.scores, entities.areas, palette(len(entities))), start=1
    ):
        x, y, radius = interior_point(entities, number)
        entries.append(
            {
                "score": float(score),
                "area": int(area),
                "percent": 100 * float(area) / entities.labels.size,
                "colour": colour.tolist(),
                "x": (x + 0.5) / entities.width,
                "y": (y + 0.5) / entities.height,
                "radius": radius / entities.width,
            }
        )
    return entries


def _file(path: Path) -> dict[str, Any]:
    return FileData(path=str(private_file(path)), orig_name=path.name).model_dump()
