"""One photo from pixels to entities, side by side with what people use instead (Linux).

    python -m benchmarks.end_to_end --against mask2former sam sam2 nano

Ours is CropFormer Swin-T with random weights, and does everything: five views, image level, association, batch level,
fusion to a label map at the photo's own size. Of the others, only the networks run, without any post-processing:

- mask2former: `transformers`' Mask2Former of the same size on the same five views, one by one
- sam: Segment Anything ViT-B of `transformers`, the photo at 1024 x 1024 and a grid of 32 x 32 points in batches of 64
- sam2: SAM 2 Hiera-T in the same way
- bf16: ours with `--precision bf16`, which only pays on CPUs that compute in bf16 (AVX512-BF16 or AMX)
- nano: our own `cropformer-nano`, with everything, as `esg segment` uses it
- any other program, such as the authors' code: --command "python demo.py --input {photo}"; it counts as a whole, with
  its start and the loading of its weights

The sides run alternately, each in its own process, so a busy machine slows all of them down: trust the ratios, not the
seconds. CPU seconds depend even less on what else is running.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from .records import add_out, save

OFFICIAL_SECONDS, OFFICIAL_GIB = 196, 14.6  # the authors' code on this photo size, ../shared/reference/README.md
# Runs a program from a small process, since the memory of the process that starts one counts as the new one's, too.
LAUNCHER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
seconds, usage = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = usage.ru_utime + usage.ru_stime
print(json.dumps({"status": status, "seconds": seconds, "cpu": cpu, "gib": usage.ru_maxrss / 2**20}))
"""
GRID, POINTS_EACH = 32, 64  # points of SAM's automatic masks: a side of the grid, and a batch


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colour blobs, (height, width, 3) uint8, the same for the same seed."""
    small = torch.rand(1, 3, 9, 13, generator=torch.Generator().manual_seed(seed))
    large = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    return (large[0].permute(1, 2, 0) * 255).byte().numpy()


def run_ours(height: int, width: int, precision: str = "fp32") -> dict[str, float]:
    from esg.models.cropformer.config import PRESETS
    from esg.models.cropformer.model import CropFormer
    from esg.segmenter import EntitySegmenter

    torch.manual_seed(0)
    preset = PRESETS["cropformer-swin-tiny"]
    network = CropFormer(preset.config)
    segmenter = EntitySegmenter(network, preset, device="cpu", precision=precision, name="cropformer-swin-tiny")
    picture = photo(height, width)
    segmenter(picture[:64, :64], size=64, min_score=0)  # warm-up
    return timed(lambda: segmenter(picture, min_score=0))


def run_nano(height: int, width: int) -> dict[str, float]:
    from esg.segmenter import EntitySegmenter

    segmenter = EntitySegmenter.from_pretrained("cropformer-nano", device="cpu")
    picture = photo(height, width)
    segmenter(picture[:64, :64], size=64)  # warm-up
    return timed(lambda: segmenter(picture))


def run_mask2former(height: int, width: int) -> dict[str, float]:
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    from esg.models.cropformer.views import make_views

    torch.manual_seed(0)
    swin = SwinConfig(window_size=7, out_features=["stage1", "stage2", "stage3", "stage4"])
    config = Mask2FormerConfig(backbone_config=swin, num_labels=1, use_pretrained_backbone=False)
    model = Mask2FormerForUniversalSegmentation(config).eval()
    views = make_views(photo(height, width)).pixels

    def all_views() -> None:
        for view in views:
            model(pixel_values=view[None], output_auxiliary_logits=False)

    with torch.inference_mode():
        model(pixel_values=views[:1, :, :64, :64])  # warm-up
        return timed(all_views)


def run_sam(height: int, width: int) -> dict[str, float]:
    from transformers import SamConfig, SamModel

    torch.manual_seed(0)
    return _automatic_masks(SamModel(SamConfig()).eval(), height, width)


def run_sam2(height: int, width: int) -> dict[str, float]:
    from transformers import Sam2Config, Sam2Model

    torch.manual_seed(0)
    return _automatic_masks(Sam2Model(Sam2Config()).eval(), height, width)


def _automatic_masks(model: Any, height: int, width: int) -> dict[str, float]:
    """SAM's network as its automatic masks use it: the photo is encoded once, then every point asks for masks."""
    side = model.config.prompt_encoder_config.image_size  # 1024 in all published sizes
    picture = Image.fromarray(photo(height, width)).resize((side, side), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None] / 127.5 - 1
    at = (torch.arange(GRID) + 0.5) * side / GRID
    points = torch.cartesian_prod(at, at).reshape(1, -1, 1, 2)  # (1, points, 1, xy)

    def all_points() -> None:
        embeddings = model.get_image_embeddings(pixels)
        for batch in points.split(POINTS_EACH, dim=1):
            labels = torch.ones(batch.shape[:3], dtype=torch.int)
            model(image_embeddings=embeddings, input_points=batch, input_labels=labels)

    with torch.inference_mode():
        return timed(all_points)


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Seconds by the clock and of the CPU that this takes; peak memory of the process, and its peak before, in GiB."""
    base, cpu, start = peak(), time.process_time(), time.perf_counter()
    work()
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "gib": peak(),
        "base": base,
    }


def peak() -> float:
    """Peak resident size of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


SIDES = {
    "ours": run_ours,
    "bf16": partial(run_ours, precision="bf16"),
    "mask2former": run_mask2former,
    "sam": run_sam,
    "sam2": run_sam2,
    "nano": run_nano,
}


def in_a_process(side: str, height: int, width: int) -> dict[str, float]:
    """The figures of `timed` for this side, in a process of its own; empty if it cannot run here, which is printed."""
    command = [sys.executable, "-m", "benchmarks.end_to_end", "--run", side]
    command += ["--height", str(height), "--width", str(width)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        print(f"{side} is skipped: {reason}", flush=True)
        return {}
    return json.loads(done.stdout.splitlines()[-1])


def launched(words: list[str]) -> dict[str, float]:
    """Runs a program to its end: its exit status, seconds by the clock and of the CPU, and peak memory in GiB."""
    launcher = [sys.executable, "-c", LAUNCHER, *words]
    return json.loads(subprocess.run(launcher, check=True, capture_output=True, text=True).stdout)


def command_in_a_process(command: str, height: int, width: int) -> dict[str, float]:
    """Runs any program on a file with the photo. Only figures of the whole process are known, so its base is 0."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "photo.png")
        Image.fromarray(photo(height, width)).save(path)
        words = [word.replace("{photo}", str(path)) for word in shlex.split(command)]
        found = launched(words)
    if found["status"]:
        print(f"{words[0]} is skipped: exit status {found['status']}", flush=True)
        return {}
    return {**{name: found[name] for name in ("seconds", "cpu", "gib")}, "base": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=1200)
    parser.add_argument("--width", type=int, default=1800)
    parser.add_argument("--rounds", type=int, default=2, help="how often all sides run, one after the other")
    others = [name for name in SIDES if name != "ours"]
    parser.add_argument("--against", nargs="*", choices=others, default=["mask2former"], metavar="SIDE")
    parser.add_argument("--command", default="", help="a further side: any program; {photo} becomes a file's path")
    parser.add_argument("--run", choices=SIDES, help=argparse.SUPPRESS)
    add_out(parser)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(SIDES[arguments.run](arguments.height, arguments.width)))
        return
    sides = ["ours", *arguments.against] + ["command"] * bool(arguments.command)
    runs = compare(sides, arguments.command, arguments.height, arguments.width, arguments.rounds)
    figures = summary(runs)
    for side, found in figures.items():
        print(
            f"{side:12} {found['seconds']:8.1f} s {found['cpu']:8.1f} CPU s, peak {found['gib']:.2f} GiB "
            f"(base {found['base']:.2f}); CPU seconds: {found['ratio']:.2f} x ours, "
            f"peak: {found['memory_ratio']:.2f} x ours"
        )
    print(f"the authors' code on another, partly busy machine: {OFFICIAL_SECONDS} s, peak {OFFICIAL_GIB} GiB")
    ratios = {side: found["ratio"] for side, found in figures.items()}
    save(arguments.out, "end_to_end", figures, ratios, "CPU time: x ours")


def compare(sides: list[str], command: str, height: int, width: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """The times of all sides, round by round; a side that cannot run is left out after its first try."""
    runs: dict[str, list[dict[str, float]]] = {}
    for number in range(1, rounds + 1):
        for side in sides:
            if side == "command":
                found = command_in_a_process(command, height, width)
            else:
                found = in_a_process(side, height, width)
            if found:
                runs.setdefault(side, []).append(found)
                print(f"round {number}: {side} {found['seconds']:.1f} s, {found['cpu']:.1f} CPU s", flush=True)
        sides = list(runs)
    return runs


def summary(runs: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Medians of every figure, and of two ratios to ours, round by round: CPU seconds (`ratio`) and peak memory."""

    def ratio(figure: str, found: list[dict[str, float]]) -> float:
        return statistics.median(one[figure] / ours[figure] for one, ours in zip(found, runs["ours"], strict=False))

    return {
        side: {
            **{name: statistics.median(one[name] for one in found) for name in found[0]},
            "ratio": ratio("cpu", found),
            "memory_ratio": ratio("gib", found),
        }
        for side, found in runs.items()
    }


if __name__ == "__main__":
    main()
