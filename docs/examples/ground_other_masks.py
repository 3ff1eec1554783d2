"""Finds the entity that a phrase refers to, among masks of another program such as Segment Anything.

python docs/examples/ground_other_masks.py PHOTO MASKS "the cat"

MASKS is anything that `esg ground --masks` reads: a label map, COCO JSON, SAM's JSON, a folder of mask pictures, ...
"""

from __future__ import annotations

import sys

from esg import Grounder, read_image, read_masks


def main(photo: str, masks: str, phrase: str) -> None:
    pixels = read_image(photo)
    entities = read_masks(masks, size=pixels.shape[:2])
    found = Grounder.from_pretrained("gella-nano").refer(pixels, entities, phrase)
    if found.entity_ids:
        number = found.entity_ids[0]
        left, top, right, bottom = entities.boxes[number - 1]
        print(f"{phrase}: entity {number}, score {found.scores[0]:.2f}, box {left},{top} to {right},{bottom}")
    elif found.guess:
        print(f"{phrase}: not found; the best guess is entity {found.guess[0]}, score {found.guess[1]:.2f}")
    else:
        print(f"{phrase}: not found")


if __name__ == "__main__":
    main(*sys.argv[1:4])
