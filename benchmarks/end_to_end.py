"""One photo from pixels to entities, compared with the Mask2Former of `transformers` on the same five views (Linux).

    python -m benchmarks.end_to_end

Both are Swin-T of the same sizes with random weights. Ours does everything: views, image level, association, batch
level, fusion to a label map at the photo's own size. Theirs only runs its network on the five views, one by one. They
run alternately, each in its own process, so a busy machine slows down both; trust the ratio, not the seconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
import torch

OFFICIAL_SECONDS, OFFICIAL_GIB = 196, 14.6  # the authors' code on this photo size, ../shared/reference/README.md


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colour blobs, (height, width, 3) uint8, the same for the same seed."""
    small = torch.rand(1, 3, 9, 13, generator=torch.Generator().manual_seed(seed))
    large = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    return (large[0].permute(1, 2, 0) * 255).byte().numpy()


def run_ours(height: int, width: int) -> dict[str, float]:
    from esg.models.cropformer.config import PRESETS
    from esg.models.cropformer.model import CropFormer
    from esg.segmenter import EntitySegmenter

    torch.manual_seed(0)
    preset = PRESETS["cropformer-swin-tiny"]
    segmenter = EntitySegmenter(CropFormer(preset.config), preset, device="cpu", name="cropformer-swin-tiny")
    picture = photo(height, width)
    segmenter(picture[:64, :64], size=64, min_score=0)  # warm-up
    base = peak()
    start = time.perf_counter()
    segmenter(picture, min_score=0)
    return {"seconds": time.perf_counter() - start, "gib": peak(), "base": base}


def run_theirs(height: int, width: int) -> dict[str, float]:
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    from esg.models.cropformer.views import make_views

    torch.manual_seed(0)
    swin = SwinConfig(window_size=7, out_features=["stage1", "stage2", "stage3", "stage4"])
    config = Mask2FormerConfig(backbone_config=swin, num_labels=1, use_pretrained_backbone=False)
    model = Mask2FormerForUniversalSegmentation(config).eval()
    views = make_views(photo(height, width)).pixels
    with torch.inference_mode():
        model(pixel_values=views[:1, :, :64, :64])
        base = peak()
        start = time.perf_counter()
        for view in views:
            model(pixel_values=view[None], output_auxiliary_logits=False)
    return {"seconds": time.perf_counter() - start, "gib": peak(), "base": base}


def peak() -> float:
    """Peak resident size of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


SIDES = {"ours": run_ours, "theirs": run_theirs}


def in_a_process(side: str, height: int, width: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.end_to_end", "--run", side]
    command += ["--height", str(height), "--width", str(width)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=1200)
    parser.add_argument("--width", type=int, default=1800)
    parser.add_argument("--pairs", type=int, default=2, help="alternating runs of both")
    parser.add_argument("--run", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(SIDES[arguments.run](arguments.height, arguments.width)))
        return
    ratios = []
    for pair in range(arguments.pairs):
        ours, theirs = (in_a_process(side, arguments.height, arguments.width) for side in SIDES)
        ratios.append(theirs["seconds"] / ours["seconds"])
        print(
            f"pair {pair + 1}: ours {ours['seconds']:.1f} s, peak {ours['gib']:.2f} GiB (base {ours['base']:.2f}); "
            f"transformers {theirs['seconds']:.1f} s, peak {theirs['gib']:.2f} GiB; ours is {ratios[-1]:.2f} x as fast",
            flush=True,
        )
    print(f"median {statistics.median(ratios):.2f} x as fast as transformers' network on the same views")
    print(f"the authors' code on another, partly busy machine: {OFFICIAL_SECONDS} s, peak {OFFICIAL_GIB} GiB")


if __name__ == "__main__":
    main()
