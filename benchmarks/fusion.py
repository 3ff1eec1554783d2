"""Time and memory of mask fusion: `python -m benchmarks.fusion --megapixels 24 --queries 100` (Linux).

Every figure of ours is measured in its own process. The cost of the authors' post-processing is printed twice: as
extrapolated from runs of their code (../shared/reference/README.md), and as measured here with `straight_fusion`, a
direct implementation of the same computation, on a smaller photo and alternating with ours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from esg.models.cropformer.fusion import Fusion, fuse
from esg.models.cropformer.views import ViewGeometry

from .memory import peak, start_peak
from .records import add_out, save

CASES = {
    "partition": "every pixel belongs to one of the entities",
    "large": "10 masks of over 30 % of the picture among 90 small ones (with --queries 100)",
    "full": "worst case: every mask is positive on 90 % of the picture, each in other places",
    "ragged": "beyond the stated cases: every mask is fine noise, positive on 20 % of the picture, all over it",
}
# Seconds of the authors' post-processing for 100 queries, by megapixels: the first measured, the others extrapolated.
OFFICIAL_SECONDS = {0.0: 0.0, 2.2: 45.0, 12.0: 144.0, 24.0: 230.0}
OFFICIAL_ARRAYS = 11  # float32 arrays of queries × pixels that it holds at its peak


def straight_fusion(mask_logits: torch.Tensor, class_scores: torch.Tensor, geometry: ViewGeometry) -> Fusion:
    """The result of `fuse`, computed step by step over arrays of queries × pixels. Arguments and result as `fuse`."""
    queries = class_scores.argsort(descending=True, stable=True)
    return paint(straight_probabilities(mask_logits[queries], geometry), class_scores[queries], queries)


def straight_probabilities(mask_logits: torch.Tensor, geometry: ViewGeometry) -> torch.Tensor:
    """Fused probabilities (Q, H, W) of mask logits (Q, T, h, w); 0 outside all views."""
    total = mask_logits.new_zeros(len(mask_logits), *geometry.image_size)
    covering = total.new_zeros(geometry.image_size)
    for view, ((x0, y0, x1, y1), (h, w)) in enumerate(zip(geometry.boxes, geometry.sizes, strict=True)):
        padded = F.interpolate(mask_logits[:, None, view], geometry.padded_size, mode="bilinear")
        own = F.interpolate(padded[..., :h, :w], (y1 - y0, x1 - x0), mode="bilinear")[:, 0]
        total[:, y0:y1, x0:x1] += own.sigmoid()
        covering[y0:y1, x0:x1] += 1
    return total / covering.clamp(min=1)


def paint(probabilities: torch.Tensor, class_scores: torch.Tensor, queries: torch.Tensor) -> Fusion:
    """Paints fused probabilities (Q, H, W) over one another, worst first; all arguments in result order."""
    labels = torch.zeros(probabilities.shape[1:], dtype=torch.int32, device=probabilities.device)
    for rank in reversed(range(len(queries))):
        labels[probabilities[rank] > 0.5] = rank + 1
    areas = torch.bincount(labels.flatten(), minlength=len(queries) + 1)[1:]
    means = [
        probability[labels == rank].sigmoid().double().mean().nan_to_num()
        for rank, probability in enumerate(probabilities, start=1)
    ]
    scores = class_scores * torch.tensor(means).to(class_scores)
    return Fusion(*(tensor.cpu().numpy() for tensor in (labels, queries, class_scores, scores, areas)))


def make_case(case: str, megapixels: float, queries: int) -> tuple[torch.Tensor, torch.Tensor, ViewGeometry]:
    """Mask logits (Q, 5, h, w), class scores and geometry for a 2:3 photo, seeded.

    Entities depend on the position in the photo, so the views agree up to a little noise, as a model's views do.
    """
    generator = torch.Generator().manual_seed(0)
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    geometry = ViewGeometry.plan(height, round(1.5 * height))
    centres = torch.rand(queries, 2, generator=generator)
    radii = torch.rand(queries, 1, 1, generator=generator) * 0.04 + 0.02
    nodes = (200, 300) if case == "ragged" else (6, 9)
    noise = torch.randn(queries, 1, *nodes, generator=generator)
    logits = torch.empty(queries, len(geometry), *(side // 4 for side in geometry.padded_size))
    for view, (box, size) in enumerate(zip(geometry.boxes, geometry.sizes, strict=True)):
        y, x = (
            (
                box[1 - axis]
                + (torch.arange(logits.shape[2 + axis]) + 0.5) * 4 / size[axis] * (box[3 - axis] - box[1 - axis])
            )
            / geometry.image_size[axis]
            for axis in (0, 1)
        )
        distance = torch.hypot(y[:, None] - centres[:, :1, None], x - centres[:, 1:, None])  # (Q, h, w)
        grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], -1) * 2 - 1
        smooth = F.grid_sample(
            noise, grid.expand(queries, -1, -1, -1), mode="bilinear", padding_mode="border", align_corners=False
        )[:, 0]
        if case == "partition":
            nearest = distance.topk(2, 0, largest=False).values
            rival = torch.where(distance == nearest[0], nearest[1], nearest[0])
            values = (rival - distance) * 300
        else:
            if view == 0:  # the level above which a mask covers its share of the picture
                share = {"large": 0.4, "full": 0.9, "ragged": 0.2}[case]
                level = smooth[..., : size[0] // 4, : size[1] // 4].flatten(1).quantile(1 - share, dim=1)
            values = (smooth - level[:, None, None]) * 8
            if case == "large":
                small = slice(max(1, queries // 10), None)
                values[small] = ((radii - distance) * 300)[small]
        logits[:, view] = (values + torch.randn(values.shape, generator=generator) * 0.3).clamp_(-15, 15)
    return logits, torch.rand(queries, generator=generator), geometry


def measure(case: str, megapixels: float, queries: int, repeats: int, out: Path | None, straight: bool) -> dict:
    """Runs one method on one case in this process: seconds (median of `repeats`) and peak bytes above the base."""
    logits, class_scores, geometry = make_case(case, megapixels, queries)
    h, w = geometry.sizes[0]
    coverage = (logits[:, 0, : h // 4, : w // 4] > 0).float().mean((1, 2))  # in the full view, without its padding
    warm_up = make_case(case, 0.02, 3)
    method = straight_fusion if straight else fuse
    method(*warm_up)
    base = start_peak()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        result = method(logits, class_scores, geometry)
        seconds.append(time.perf_counter() - begin)
        won = int((result.areas > 0).sum())
        if out:
            np.savez(out, labels=result.labels, scores=result.scores)
        del result
    return {
        "seconds": statistics.median(seconds),
        "bytes": peak() - base,
        "image": geometry.image_size,
        "over_30": int((coverage > 0.3).sum()),
        "won": won,
    }


def _run(
    case: str, megapixels: float, queries: int, repeats: int, *, out: Path | None = None, straight: bool = False
) -> dict:
    command = [sys.executable, "-m", "benchmarks.fusion", "--case", case, "--repeats", str(repeats)]
    command += ["--megapixels", str(megapixels), "--queries", str(queries)]
    command += ["--labels", str(out)] * (out is not None) + ["--straight"] * straight
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def report(megapixels: float, queries: int, paired: float, repeats: int) -> dict[str, dict[str, float]]:
    """Prints all cases: ours at `megapixels` next to the extrapolation, then both methods at `paired` megapixels.

    Returns the figures of every case, `seconds` and `mib` at `megapixels`, and `ratio` and `same` for both methods.
    """
    figures: dict[str, dict[str, float]] = {}
    known = sorted(OFFICIAL_SECONDS)
    official = float(np.interp(megapixels, known, [OFFICIAL_SECONDS[size] for size in known]))
    official *= max(1.0, megapixels / known[-1]) * queries / 100
    gigabytes = OFFICIAL_ARRAYS * queries * megapixels * 1e6 * 4 / 1e9
    print(f"{queries} queries, {megapixels:g} megapixels, 5 views at 800/1333, {os.cpu_count()} cores")
    print(f"EXTRAPOLATED cost of the authors' post-processing: {official:.0f} s, {gigabytes:.0f} GB")
    print("Ours, measured, and how many times faster than that extrapolation:")
    print(f"{'case':10} {'seconds':>8} {'above base':>11} {'faster':>8} {'masks over 30 %':>16} {'with pixels':>12}")
    for case in CASES:
        ours = _run(case, megapixels, queries, repeats)
        figures[case] = {"seconds": ours["seconds"], "mib": ours["bytes"] / 2**20}
        print(
            f"{case:10} {ours['seconds']:8.2f} {ours['bytes'] / 2**20:7.0f} MiB {official / ours['seconds']:6.0f} ×"
            f" {ours['over_30']:16} {ours['won']:12}"
        )
    print(f"\nBoth measured alternately at {paired:g} megapixels: straight | ours")
    print(
        f"{'case':10} {'seconds':>17} {'faster':>8} {'MiB above base':>15} {'same label':>11} {'score difference':>17}"
    )
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("straight.npz", "ours.npz")]
        for case in CASES:
            straight = _run(case, paired, queries, 1, out=files[0], straight=True)
            ours = _run(case, paired, queries, repeats, out=files[1])
            expected, found = map(np.load, files)
            same = (expected["labels"] == found["labels"]).mean()
            difference = np.abs(expected["scores"] - found["scores"]).max()
            figures[case] |= {"ratio": straight["seconds"] / ours["seconds"], "same": float(same)}
            print(
                f"{case:10} {straight['seconds']:8.2f} |{ours['seconds']:7.3f}"
                f" {straight['seconds'] / ours['seconds']:6.0f} ×"
                f" {straight['bytes'] / 2**20:8.0f} |{ours['bytes'] / 2**20:5.0f}"
                f" {same:11.4%} {difference:11.1e}"
            )
    print()
    for case, meaning in CASES.items():
        print(f"{case}: {meaning}")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--paired", type=float, default=2, help="megapixels at which both methods are measured")
    parser.add_argument("--repeats", type=int, default=3, help="runs of ours; the median counts")
    parser.add_argument("--case", choices=CASES, help="measure one case in this process and print JSON")
    parser.add_argument("--straight", action="store_true", help="with --case: measure `straight_fusion`, not ours")
    parser.add_argument("--labels", type=Path, help="with --case: save labels and scores to this .npz")
    add_out(parser)
    given = parser.parse_args()
    if given.case:
        print(
            json.dumps(
                measure(given.case, given.megapixels, given.queries, given.repeats, given.labels, given.straight)
            )
        )
    else:
        figures = report(given.megapixels, given.queries, given.paired, given.repeats)
        ratios = {case: found["ratio"] for case, found in figures.items()}
        save(given.out, "fusion", figures, ratios, "x as fast as the direct method")


if __name__ == "__main__":
    main()
