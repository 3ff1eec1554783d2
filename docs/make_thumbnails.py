"""Makes the pictures that ComfyUI shows for the graphs in `workflows/`: `python docs/make_thumbnails.py`.

They are what the program itself makes of a photo with the weights that ship. What a diffusion model would paint is not
in them: instead they show the crop that it gets, with the area to repaint in red.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from esg import (
    EntityMap,
    EntitySegmenter,
    Grounder,
    choose,
    cut_for_inpainting,
    draw_grounding,
    overlay,
    read_image,
    remove_with_opencv,
    write_image,
)

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ROOT / "web_demo" / "examples"
WORKFLOWS = ROOT / "workflows"
HEIGHT, GAP = 240, 6  # pixels
QUALITY = 80
ROCKET = [{"x": 320, "y": 250}, {"x": 321, "y": 150}]


def main() -> None:
    segmenter, grounder = EntitySegmenter.from_pretrained("cropformer-nano"), Grounder.from_pretrained("gella-nano")
    photos = {name: read_image(PHOTOS / f"{name}.jpg") for name in ("coffee", "rocket")}
    coffee, rocket = photos["coffee"], photos["rocket"]
    seen = {name: segmenter(photo) for name, photo in photos.items()}
    cup, sky = seen["coffee"], seen["rocket"]
    clicked = cup.mask(choose(cup, [{"x": 270, "y": 155}]))  # the coffee in the cup
    expression = grounder.refer(rocket, sky, "the large blue area")
    said = sky.mask(expression.entity_ids)
    described = grounder(rocket, sky)
    flying = sky.mask(choose(sky, ROCKET))
    own = EntityMap.from_masks([clicked, coffee[..., 0] < 60], size=clicked.shape)
    pictures = {
        "segment_everything": [rocket, overlay(rocket, sky)],
        "click_and_inpaint": [overlay(coffee, cup, numbers=True), to_make(coffee, clicked)],
        "say_and_inpaint": [lit(rocket, said), to_make(rocket, said)],
        "repaint_each_phrase": [rocket, draw_grounding(rocket, sky, described)],
        "remove_entity": [rocket, remove_with_opencv(rocket, grown(rocket, flying))],
        "ground_your_masks": [overlay(coffee, own), draw_grounding(coffee, own, grounder(coffee, own))],
        "segs_to_detailer": [lit(coffee, clicked), cut_for_inpainting(coffee, clicked).picture],
    }
    for name, parts in pictures.items():
        write_image(WORKFLOWS / f"{name}.jpg", side_by_side(parts), quality=QUALITY)


def lit(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The photo, dark where the mask is not."""
    return np.where(mask[..., None], photo, photo // 3)


def to_make(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The crop that a model gets, with the area to repaint in red."""
    crop = cut_for_inpainting(photo, mask)
    red = np.array([255, 40, 40])
    return np.where(crop.generation[..., None] > 0, (crop.picture + red) // 2, crop.picture).astype(np.uint8)


def grown(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mask, larger by some pixels, as Inpaint (OpenCV) takes it."""
    return cut_for_inpainting(photo, mask).stitch.full_mask > 0


def side_by_side(pictures: list[np.ndarray]) -> np.ndarray:
    """The pictures in a row, of one height."""
    gap = np.full((HEIGHT, GAP, 3), 255, np.uint8)
    row = [part for picture in pictures for part in (gap, shrunk(picture))]
    return np.concatenate(row[1:], axis=1)


def shrunk(picture: np.ndarray) -> np.ndarray:
    width = round(picture.shape[1] * HEIGHT / picture.shape[0])
    return np.asarray(Image.fromarray(picture).resize((width, HEIGHT), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
