"""Makes the pictures of README and model card with the bundled weights: `python tools/make_pictures.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from esg import EntitySegmenter, Grounder, overlay, palette, read_image, write_image
from esg.drawing.grounding_picture import draw_grounding

ROOT = Path(__file__).parent.parent
PHOTOS = ROOT / "web_demo" / "examples"
PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
HEIGHT = 320  # pixels of a row
GAP = 6
CAPTIONS = {"chelsea": "A cat lies on a blanket.", "rocket": "A building under the dark blue sky."}


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    segmenter = EntitySegmenter.from_pretrained("cropformer-nano")
    rows = [triptych(segmenter, read_image(PHOTOS / f"{name}.jpg")) for name in ("chelsea", "rocket")]
    width = min(row.shape[1] for row in rows)
    gap = np.full((GAP, width, 3), 255, np.uint8)
    rows = [row[:, :width] for row in rows]
    write_image(PICTURES / "entities.jpg", np.concatenate([rows[0], gap, rows[1]]), quality=88)
    grounder = Grounder.from_pretrained("gella-nano")
    write_image(PICTURES / "icon.png", icon(segmenter, read_image(PHOTOS / "chelsea.jpg")))
    grounded_photos = [grounded(segmenter, grounder, name, caption) for name, caption in CAPTIONS.items()]
    write_image(PICTURES / "grounding.jpg", side_by_side(grounded_photos), quality=90)


def grounded(segmenter: EntitySegmenter, grounder: Grounder, name: str, caption: str) -> np.ndarray:
    """A photo with a caption as the grounder understands it."""
    photo = np.asarray(shrink(read_image(PHOTOS / f"{name}.jpg"), 400))
    entities = segmenter(photo)
    return draw_grounding(photo, entities, grounder(photo, entities, caption=caption))


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


def shrink(picture: np.ndarray, height: int = HEIGHT) -> np.ndarray:
    width = round(picture.shape[1] * height / picture.shape[0])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
