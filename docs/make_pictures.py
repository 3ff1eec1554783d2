"""Makes the pictures of README and model card with the weights that ship: `python docs/make_pictures.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from esg import EntitySegmenter, overlay, palette, read_image, write_image

ROOT = Path(__file__).parent.parent
PHOTOS = ROOT / "web_demo" / "examples"
PICTURES = Path(__file__).parent / "pictures"
HEIGHT = 320  # pixels of a row
GAP = 6


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    segmenter = EntitySegmenter.from_pretrained("cropformer-nano")
    rows = [triptych(segmenter, read_image(PHOTOS / f"{name}.jpg")) for name in ("chelsea", "coffee")]
    width = min(row.shape[1] for row in rows)
    gap = np.full((GAP, width, 3), 255, np.uint8)
    rows = [row[:, :width] for row in rows]
    write_image(PICTURES / "entities.jpg", np.concatenate([rows[0], gap, rows[1]]), quality=88)


def triptych(segmenter: EntitySegmenter, photo: np.ndarray) -> np.ndarray:
    """The photo, its overlay and its label map side by side, `HEIGHT` pixels high."""
    entities = segmenter(photo)
    colours = np.concatenate([np.zeros((1, 3), np.uint8), palette(len(entities))])
    parts = [shrink(part) for part in (photo, overlay(photo, entities), colours[entities.labels])]
    gap = np.full((HEIGHT, GAP, 3), 255, np.uint8)
    return np.concatenate([parts[0], gap, parts[1], gap, parts[2]], axis=1)


def shrink(picture: np.ndarray) -> np.ndarray:
    width = round(picture.shape[1] * HEIGHT / picture.shape[0])
    return np.asarray(Image.fromarray(picture).resize((width, HEIGHT), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
