"""Small outlines and files that the tests of several readers share."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from esg.entities.importing import read_masks

H, W = 12, 16
SIZE = (H, W)


def square(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def pairs(flat: list[float]) -> list[list[float]]:
    return [[x, y] for x, y in zip(flat[::2], flat[1::2], strict=True)]


LEFT, RIGHT = square(2, 2, 6, 6), square(9, 6, 14, 10)  # 16 and 20 pixels
BOX = {"id": 2, "image_id": 1, "category_id": 1, "bbox": [9, 6, 5, 4], "area": 20, "iscrowd": 0}


def put(folder: Path, content: object, name: str = "masks.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def coco(*annotations: dict[str, Any], **image: Any) -> dict[str, Any]:
    images = [{"id": 1, "width": W, "height": H, "file_name": "photo.png", **image}]
    return {"images": images, "annotations": list(annotations), "categories": []}


def areas(path: Path, **options: Any) -> list[int]:
    return read_masks(path, SIZE, photo="photo.png", **options).areas.tolist()


def png(mask: np.ndarray, mode: str = "L") -> str:
    data = BytesIO()
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).convert(mode).save(data, "png")
    return base64.b64encode(data.getvalue()).decode()


def labelme(*shapes: dict[str, Any]) -> dict[str, Any]:
    return {"version": "5.4.1", "shapes": list(shapes), "imagePath": "photo.png", "imageHeight": H, "imageWidth": W}


def shape(points: list[list[float]], kind: str = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": "thing", "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}
