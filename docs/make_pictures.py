"""Makes the pictures of README and model card with the weights that ship: `python docs/make_pictures.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from esg import EntityMap, EntitySegmenter, Grounder, overlay, palette, read_image, write_image
from esg.data.synth import HELD_OUT
from esg.data.telling.told import tell_scene
from esg.draw_grounding import draw_grounding

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
    grounder = Grounder.from_pretrained("gella-nano")
    write_image(PICTURES / "grounding.jpg", side_by_side([grounded(grounder, 5), grounded(grounder, 2)]), quality=90)


def grounded(grounder: Grounder, number: int) -> np.ndarray:
    """A held-out scene with its true masks, and its caption as the grounder understands it."""
    told = tell_scene(HELD_OUT + number, np.random.default_rng((HELD_OUT, number)), (400, 400))
    entities = EntityMap.from_labels(told.labels)
    return draw_grounding(told.image, entities, grounder(told.image, entities, caption=told.narratives[0].caption))


def side_by_side(pictures: list[np.ndarray]) -> np.ndarray:
    height = max(len(picture) for picture in pictures)
    padded = [np.pad(one, ((0, height - len(one)), (0, 2 * GAP), (0, 0)), constant_values=255) for one in pictures]
    return np.concatenate(padded, axis=1)


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
