"""The picture in the page: a component that gets photo and label map once, and does the rest in the browser.

Hovering, selecting, opacity, the score threshold, the table and the cut-out never ask the server; see picture.js.
"""

from __future__ import annotations

import gzip
import secrets
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.data_classes import FileData
from gradio.utils import get_upload_folder
from PIL import Image

from esg import EntityMap, interior_point, palette

HERE = Path(__file__).parent
LONGEST_SHOWN = 1600  # pixels of the longest side in the browser; areas and files are of the photo's own size


def entity_picture() -> gr.HTML:
    """The component; its value is made by `picture_value`, its event `save` brings what `saving.save` takes."""
    return gr.HTML(
        html_template=(HERE / "picture.html").read_text(encoding="utf-8"),
        js_on_load=(HERE / "picture.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id="picture",
    )


def picture_value(pixels: np.ndarray, entities: EntityMap | None = None, *, min_score: float = 0) -> dict[str, Any]:
    """What the browser needs to show a photo.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        entities: None while they are not known yet.
        min_score: where the score slider stands at first.

    Returns:
        "photo" and "labels" are files of the same size in pixels, "size" width and height of it; labels are gzipped
        16 bit little-endian numbers, row by row: a PNG would go through the browser's colour management. "entities"
        has one entry an id with score, area in pixels of the photo and in percent, colour, and the point x, y
        (fractions of width and height) farthest from its border with that distance (a fraction of the width).
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, LONGEST_SHOWN / max(height, width))
    shown = max(1, round(width * scale)), max(1, round(height * scale))
    folder = new_folder()
    photo = Image.fromarray(pixels)
    if shown != photo.size:
        photo = photo.resize(shown, Image.Resampling.LANCZOS, reducing_gap=2)
    photo.save(folder / "photo.jpg", quality=92)
    value = {"photo": _file(folder / "photo.jpg"), "size": shown, "min_score": min_score}
    if entities is None:
        return value
    rows = ((np.arange(shown[1]) + 0.5) * height / shown[1]).astype(int)
    columns = ((np.arange(shown[0]) + 0.5) * width / shown[0]).astype(int)
    small = np.ascontiguousarray(entities.labels[rows[:, None], columns], dtype="<u2")
    (folder / "labels.bin").write_bytes(gzip.compress(small.tobytes(), compresslevel=1))
    return {**value, "labels": _file(folder / "labels.bin"), "entities": _entries(entities)}


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


def new_folder() -> Path:
    """An empty folder among the files that Gradio serves and clears away; its name cannot be guessed."""
    folder = Path(get_upload_folder()) / secrets.token_hex(20)
    folder.mkdir(parents=True)
    return folder


def _file(path: Path) -> dict[str, Any]:
    return FileData(path=str(path), orig_name=path.name).model_dump()
