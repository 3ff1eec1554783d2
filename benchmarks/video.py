"""Identities in clips: entities linked by overlap alone, against frames that share queries at the batch level.

    python -m benchmarks.video --model cropformer-nano --clips 8 --frames 10

The clips are synthetic and held out: a camera pans over a scene, and things move in front of it and hide one another.
IDF1 is the measure (see `esg.evaluation.identity`); F1 of single frames says how well the same masks are found without
regard to identities, and is the highest IDF1 that they allow. Tracks are the mean per clip, seconds the sum for all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

from esg.data.scenes.moving import moving_scene
from esg.data.scenes.synth import HELD_OUT
from esg.evaluation.identity import IdentityCounts
from esg.segmenter import EntitySegmenter

from .records import add_out, save

MOTIONS = {"slow": (0.01, 0.005), "medium": (0.04, 0.01), "fast": (0.10, 0.02)}  # speed of things, and of the camera


def measured(segmenter: EntitySegmenter, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The figures of each motion and number of frames that share queries; IDF1, IDP, IDR and F1 in percent."""
    for motion, (speed, pan) in MOTIONS.items():
        counts = {share: IdentityCounts() for share in args.share}
        tracks, seconds = dict.fromkeys(args.share, 0), dict.fromkeys(args.share, 0.0)
        for number in range(args.clips):
            clip = list(moving_scene(HELD_OUT + number, args.frames, args.height, args.width, speed=speed, pan=pan))
            for share in args.share:
                begin = time.perf_counter()
                found = segmenter.track(
                    (image for image, _ in clip), min_iou=args.min_overlap, patience=args.patience, share=share
                )
                largest = 0
                for (_, labels), frame in zip(clip, found, strict=True):
                    counts[share].add(labels, frame.labels)
                    largest = max(largest, int(frame.ids.max(initial=0)))
                counts[share].end_clip()
                tracks[share] += largest
                seconds[share] += time.perf_counter() - begin
        for share in args.share:
            figures = {name: 100 * value for name, value in counts[share].result()._asdict().items()}
            yield {
                "motion": motion,
                "share": share,
                **figures,
                "tracks": tracks[share] / args.clips,
                "seconds": seconds[share],
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cropformer-nano", help="name or file of the weights")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--height", type=int, default=320, help="of a frame in pixels")
    parser.add_argument("--width", type=int, default=426)
    parser.add_argument("--share", type=int, nargs="+", default=[1, 2, 3, 5], help="frames that share queries")
    parser.add_argument("--min-overlap", type=float, default=0.3)
    parser.add_argument("--patience", type=int, default=2)
    parser.add_argument("--device", default="auto")
    add_out(parser)
    args = parser.parse_args()
    segmenter = EntitySegmenter.from_pretrained(args.model, device=args.device)
    print("| motion | frames that share queries | IDF1 | IDP | IDR | F1 of frames | tracks per clip | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for row in measured(segmenter, args):
        rows.append(row)
        shared = "1 (overlap alone)" if row["share"] == 1 else row["share"]
        figures = " | ".join(f"{row[name]:.1f}" for name in ("idf1", "idp", "idr", "f1"))
        print(f"| {row['motion']} | {shared} | {figures} | {row['tracks']:.0f} | {row['seconds']:.0f} |", flush=True)
    save(args.out, "video", rows, {f"{row['motion']}, {row['share']} shared": row["idf1"] for row in rows}, "IDF1 in %")


if __name__ == "__main__":
    main()
