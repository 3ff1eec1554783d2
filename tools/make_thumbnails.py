"""Makes the pictures that ComfyUI shows for the graphs in `workflows/`: `python tools/make_thumbnails.py`.

They are square, like the cards that show them, and are made by the program itself from a photo with the weights that
ship. What a diffusion model would paint is not in them: instead they show the crop that it gets, with the area to
repaint in red.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from esg import (
    Clip,
    EntityMap,
    EntitySegmenter,
    Grounder,
    choose,
    cut_for_inpainting,
    draw_grounding,
    overlay,
    read_image,
    remove_with_opencv,
    track_entities,
    write_image,
)

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ROOT / "web_demo" / "examples"
WORKFLOWS = ROOT / "workflows"
SIDE, GAP = 320, 4  # pixels
QUALITY = 70  # below 20 kB each
ROCKET = [{"x": 320, "y": 250}, {"x": 321, "y": 150}]


def main() -> None:
    segmenter, grounder = EntitySegmenter.from_pretrained("cropformer-nano"), Grounder.from_pretrained("gella-nano")
    photos = {name: read_image(PHOTOS / f"{name}.jpg") for name in ("coffee", "rocket")}
    coffee, rocket = photos["coffee"], photos["rocket"]
    seen = {name: segmenter(photo) for name, photo in photos.items()}
    cup, sky = seen["coffee"], seen["rocket"]
    clicked = cup.mask(choose(cup, [{"x": 270, "y": 155}]))  # the coffee in the cup
    said = sky.mask(grounder.refer(rocket, sky, "the sky").entity_ids)
    described = grounder(rocket, sky)
    flying = sky.mask(choose(sky, ROCKET))
    own = EntityMap.from_masks([clicked, coffee[..., 0] < 60], size=clicked.shape)
    mirrored = cup.mask(choose(cup, [{"x": 270, "y": 155}]))[:, ::-1]
    clip = [np.ascontiguousarray(coffee[:, left : left + 500]) for left in (0, 100)]
    tracks = track_entities([segmenter(frame) for frame in clip])
    pictures = {
        "Segment everything": [rocket, overlay(rocket, sky)],
        "Click and inpaint": [overlay(coffee, cup, numbers=True), to_make(coffee, clicked)],
        "Click and inpaint a batch": [lit(coffee, clicked), lit(coffee[:, ::-1], mirrored)],
        "Click and inpaint a clip": [tracked(tracks, frame, photo) for frame, photo in enumerate(clip)],
        "Say and inpaint": [lit(rocket, said), to_make(rocket, said)],
        "Repaint each phrase": [rocket, draw_grounding(rocket, sky, described)],
        "Click and remove": [rocket, remove_with_opencv(rocket, grown(rocket, flying))],
        "Say which of your masks": [overlay(coffee, own), draw_grounding(coffee, own, grounder(coffee, own))],
        "Click and add detail (Impact Pack)": [lit(coffee, clicked), cut_for_inpainting(coffee, clicked).picture],
    }
    for name, parts in pictures.items():
        write_image(WORKFLOWS / f"{name}.jpg", square(parts), quality=QUALITY)


def tracked(clip: Clip, frame: int, photo: np.ndarray) -> np.ndarray:
    """A frame with its entities in the colours and numbers of their tracks."""
    found, new_ids = clip.entities(frame)
    tracks = np.flatnonzero(new_ids)
    return overlay(photo, found, numbers=True, shown_as=tracks[np.argsort(new_ids[tracks])])


def lit(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The photo, dark where the mask is not."""
    return np.where(mask[..., None], photo, photo // 3)


def to_make(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The crop for a model, with the area to repaint in red."""
    crop = cut_for_inpainting(photo, mask)
    red = np.array([255, 40, 40])
    return np.where(crop.generation[..., None] > 0, (crop.picture + red) // 2, crop.picture).astype(np.uint8)


def grown(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mask, grown by some pixels, as in Inpaint (OpenCV)."""
    return cut_for_inpainting(photo, mask).stitch.full_mask > 0


def square(pictures: list[np.ndarray]) -> np.ndarray:
    """The pictures one above the other, each as wide as the square."""
    height = (SIDE - GAP * (len(pictures) - 1)) // len(pictures)
    canvas = np.full((SIDE, SIDE, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        top = index * (height + GAP)
        canvas[top : top + height] = cropped(picture, SIDE, height)
    return canvas


def cropped(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The middle of a picture, at a size."""
    return np.asarray(ImageOps.fit(Image.fromarray(picture), (width, height), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
