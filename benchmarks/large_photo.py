"""A very large photo through the small model: seconds, and peak memory of the whole process (Linux).

    python -m benchmarks.large_photo --megapixels 100

The photo, 3:2 with smooth colour blobs, is in memory before the clock starts; reading a file would take extra time.
"""

from __future__ import annotations

import argparse

from esg.segmenter import EntitySegmenter

from .end_to_end import timed
from .records import add_out, save
from .stages import picture_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=100)
    parser.add_argument("--model", default="cropformer-nano", help="name or file of the weights")
    parser.add_argument("--size", type=int, help="short side of the views in pixels [the model's own]")
    add_out(parser)
    arguments = parser.parse_args()
    picture = picture_of(arguments.megapixels)
    segmenter = EntitySegmenter.from_pretrained(arguments.model, device="cpu")
    segmenter(picture[:64, :64], size=64)  # warm-up
    found = timed(lambda: segmenter(picture, size=arguments.size, max_pixels=picture.size))
    print(
        f"{picture.shape[1]}x{picture.shape[0]}: {found['seconds']:.1f} s, {found['cpu']:.1f} CPU s, "
        f"peak {found['gib']:.2f} GiB ({found['base']:.2f} GiB before, including the photo)"
    )
    save(arguments.out, "large_photo", found, {"peak": found["gib"], "before": found["base"]}, "GiB of memory")


if __name__ == "__main__":
    main()
