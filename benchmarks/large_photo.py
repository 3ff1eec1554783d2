"""A very large photo through the small model: seconds, and peak memory of the whole process (Linux).

    python -m benchmarks.large_photo --megapixels 100

The photo, 3:2 with smooth colour blobs, is in memory before the clock starts; reading a file would take extra time.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from PIL import Image

from esg.segmenter import EntitySegmenter

from .end_to_end import photo, timed
from .records import add_out, save


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=100)
    parser.add_argument("--model", default="cropformer-nano", help="name or file of the weights")
    parser.add_argument("--size", type=int, help="short side of the views in pixels [the model's own]")
    add_out(parser)
    arguments = parser.parse_args()
    height = round(math.sqrt(arguments.megapixels * 1e6 / 1.5))
    # Pillow resizes in bands; otherwise, making the photo could take more memory than segmenting it.
    small = Image.fromarray(photo(90, 135))
    picture = np.asarray(small.resize((round(height * 1.5), height), Image.Resampling.BICUBIC))
    segmenter = EntitySegmenter.from_pretrained(arguments.model, device="cpu")
    segmenter(picture[:64, :64], size=64)  # warm-up
    found = timed(lambda: segmenter(picture, size=arguments.size, max_pixels=picture.size))
    print(
        f"{picture.shape[1]}x{height}: {found['seconds']:.1f} s, {found['cpu']:.1f} CPU s, peak {found['gib']:.2f} GiB "
        f"({found['base']:.2f} GiB before, including the photo)"
    )
    save(arguments.out, "large_photo", found, {"peak": found["gib"], "before": found["base"]}, "GiB of memory")


if __name__ == "__main__":
    main()
