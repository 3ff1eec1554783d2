"""A very large photo through the small model: seconds, and peak memory of the whole process (Linux).

    python -m benchmarks.large_photo --megapixels 100

The photo, 3:2 with smooth colour blobs, is in memory before the clock starts; reading a file would take extra time.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
from PIL import Image

from esg.segmenter import EntitySegmenter

from .end_to_end import peak, photo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=100)
    parser.add_argument("--model", default="cropformer-nano", help="name or file of the weights")
    parser.add_argument("--size", type=int, help="short side of the views in pixels [the model's own]")
    arguments = parser.parse_args()
    height = round(math.sqrt(arguments.megapixels * 1e6 / 1.5))
    # Pillow resizes in bands; otherwise, making the photo could take more memory than segmenting it.
    small = Image.fromarray(photo(90, 135))
    picture = np.asarray(small.resize((round(height * 1.5), height), Image.Resampling.BICUBIC))
    segmenter = EntitySegmenter.from_pretrained(arguments.model, device="cpu")
    before = peak()
    start = time.perf_counter()
    entities = segmenter(picture, size=arguments.size, max_pixels=picture.size)
    seconds = time.perf_counter() - start
    print(
        f"{picture.shape[1]}x{height}: {seconds:.1f} s, {len(entities)} entities, peak {peak():.2f} GiB "
        f"({before:.2f} GiB before, including the photo)"
    )


if __name__ == "__main__":
    main()
