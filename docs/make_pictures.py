"""Makes the pictures of README and model card with the weights that ship: `python docs/make_pictures.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from esg import EntityMap, EntitySegmenter, Grounder, overlay, palette, read_image, write_image
from esg.data.synth import HELD_OUT
from esg.data.telling.told import tell_scene
from esg.grounding_picture import draw_grounding

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
    write_image(PICTURES / "icon.png", icon(segmenter, read_image(PHOTOS / "coffee.jpg")))
    write_image(PICTURES / "grounding.jpg", side_by_side([grounded(grounder, 5), grounded(grounder, 2)]), quality=90)


def grounded(grounder: Grounder, number: int) -> np.ndarray:
    """A held-out scene with its true masks, and its caption as the grounder understands it."""
    told = tell_scene(HELD_OUT + number, np.random.default_rng((HELD_OUT, number)), (400, 400))
    entities = EntityMap.from_labels(told.labels)
    return draw_grounding(told.image, entities, grounder(told.image, entities, caption=told.narratives[0].caption))


def icon(segmenter: EntitySegmenter, photo: np.ndarray) -> np.ndarray:
    """The middle of a photo, half of it as its entities, 200x200 pixels."""
    coloured = overlay(photo, segmenter(photo), alpha=0.7)
    side = min(photo.shape[:2])
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    mixed = photo.copy()
    mixed[:, : left + side // 2] = coloured[:, : left + side // 2]
    square = Image.fromarray(mixed[top : top + side, left : left + side])
    return np.asarray(square.resize((200, 200), Image.Resampling.LANCZOS))


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
