"""Entity AP on held-out synthetic scenes, for every fusion, at a low and at a high resolution.

    python -m benchmarks.accuracy --model cropformer-nano --scenes 200

Both resolutions show the same scenes, which were not used in training, through views of the model's own size. The
difference between `boc` and `io` at the high resolution is the contribution of the crops.
"""

from __future__ import annotations

import argparse
import time

import torch

from esg.models.cropformer.fusion import FUSIONS
from esg.segmenter import EntitySegmenter
from esg.training.measure import MeasureConfig, measure

from .records import add_out, save

RESOLUTIONS = {"low": (320, 426), "high": (960, 1280)}  # height, width in pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cropformer-nano", help="name or file of the weights")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--resolution", choices=[*RESOLUTIONS, "both"], default="both")
    parser.add_argument("--size", type=int, help="short side of the views in pixels [the model's own]")
    add_out(parser)
    arguments = parser.parse_args()
    segmenter = EntitySegmenter.from_pretrained(arguments.model, device=arguments.device)
    fusions = tuple(FUSIONS) if segmenter.model.association is not None else ("io",)
    figures = {}
    for name, (height, width) in RESOLUTIONS.items():
        if arguments.resolution not in (name, "both"):
            continue
        size = arguments.size or segmenter.preset.size
        config = MeasureConfig(
            scenes=arguments.scenes,
            height=height,
            width=width,
            short=size,
            longest=round(size * segmenter.preset.max_size / segmenter.preset.size),
            fusions=fusions,
        )
        start = time.perf_counter()
        with torch.inference_mode():
            found = measure(
                lambda pixels, frames: segmenter.model(pixels, frames, views_at_once=1),
                config,
                segmenter.device,
                stable=segmenter.preset.stability,
            )
        seconds = (time.perf_counter() - start) / arguments.scenes
        print(f"{name} resolution, {width}x{height}, {arguments.scenes} scenes, {seconds:.1f} s per scene")
        for fusion in fusions:
            figures[f"{name} {fusion}"] = 100 * found[f"AP_{fusion}"]
            print(f"  {fusion:4} AP^e {100 * found[f'AP_{fusion}']:5.1f}   AP50 {100 * found[f'AP50_{fusion}']:5.1f}")
    save(arguments.out, "accuracy", figures, figures, "AP^e")


if __name__ == "__main__":
    main()
