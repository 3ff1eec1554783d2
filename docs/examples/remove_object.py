"""Removes the entity that a phrase refers to from a photo.

python docs/examples/remove_object.py PHOTO "the cup" CLEAN.png

Outside the removed area, not a single bit changes.
"""

from __future__ import annotations

import sys

from esg import EntitySegmenter, Grounder, Inpainter, read_photo, write_image


def main(source: str, phrase: str, out: str) -> None:
    photo = read_photo(source)
    entities = EntitySegmenter.from_pretrained("cropformer-nano")(photo.pixels)
    found = Grounder.from_pretrained("gella-nano").refer(photo.pixels, entities, phrase)
    if not found.entity_ids:
        sys.exit(f"{phrase!r} is not in the photo, or the small model does not recognise it.")
    clean = Inpainter().remove(photo.pixels, entities.mask(found.entity_ids))
    write_image(out, photo.edited(clean), metadata=photo.metadata)  # keeps transparency, EXIF and colour profile
    print(f"{phrase}: entity {found.entity_ids[0]} removed -> {out}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
