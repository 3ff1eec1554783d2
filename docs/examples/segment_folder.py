"""Segments every photo in a folder: an overlay to look at, and the entities as COCO JSON.

python docs/examples/segment_folder.py PHOTOS OUT

The command `esg segment PHOTOS --out OUT` does the same with more options; this script shows the Python API.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from esg import EntitySegmenter, EsgError, overlay, read_image, write_image


def main(photos: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    segmenter = EntitySegmenter.from_pretrained("cropformer-nano")
    for path in sorted(photos.iterdir()):
        try:
            pixels = read_image(path)
        except EsgError as error:  # for example a text file or a damaged photo: skip it
            print(error)
            continue
        entities = segmenter(pixels)
        write_image(out / f"{path.stem}.overlay.png", overlay(pixels, entities))
        (out / f"{path.stem}.json").write_text(json.dumps(entities.to_coco(file_name=path.name)), encoding="utf-8")
        print(f"{path.name}: {len(entities)} entities, the largest covers {entities.areas.max(initial=0)} pixels")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
