"""Memory and time on a GPU, as in Table 7 of the CropFormer paper (Table VI of GELLA's) and in Table XII b.

    python -m benchmarks.memory_and_time --device cuda
    python -m benchmarks.memory_and_time --rows nano --gella gella-nano     # in minutes on a CPU

All weights are random, since neither memory nor time depends on them. A photo of 2700x4050 pixels is segmented at the
sizes of each row, from reading the array to the label map. A training step has the settings of the published run with
`--batch` pictures on this device; its time on the GPU times the length of the run is the training time. For GELLA, one
photo is encoded together with its colormap, a text of 300 tokens is read, 100 tokens are written one by one, and the
mask decoder runs once.

Peak memory is that of PyTorch's allocator, in GiB, and is known for CUDA devices only. The paper's figures are for an
A100 with 40 GB (80 GB for the largest size); Table XII does not name its device, its text, or its precision.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from esg.models.cropformer.config import PRESETS
from esg.models.cropformer.model import CropFormer
from esg.models.gella.config import PRESETS as GELLAS
from esg.models.gella.model import Gella
from esg.segmenter import EntitySegmenter
from esg.support.device import choose_device, computing_in
from esg.training.config import training_dtype
from esg.training.cropformer import CropFormerTask
from esg.training.defaults import settings_for
from esg.training.optimizer import optimizers

from .records import add_out, save

DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Row:
    """A row of Table 7, or of a model that is not in it.

    Attributes:
        preset: the architecture.
        size, longest: working size of the views.
        paper: memory in training and in inference (GB), training time (GPU days), inference time (ms); None if the
            model is not in the table.
    """

    preset: str
    size: int
    longest: int
    paper: tuple[float, float, float, float] | None


ROWS = {
    "mask2former-800": Row("mask2former-swin-tiny", 800, 1333, (5.8, 3.0, 2.4, 637)),
    "mask2former-2700": Row("mask2former-swin-tiny", 2700, 4500, (58.8, 10.4, 60.8, 3312)),
    "cropformer-800": Row("cropformer-swin-tiny", 800, 1333, (11.4, 6.9, 9.8, 1503)),
    "nano": Row("cropformer-nano", PRESETS["cropformer-nano"].size, PRESETS["cropformer-nano"].max_size, None),
}
SECONDS = {"language model": 3.2, "image + mask encoder": 0.7, "mask decoder": 0.3}
"""Table XII b, with LLaMA-7B; the language model's cell is that of LISA's row."""


@dataclass
class Cost:
    """The time and memory that a piece of work took.

    Attributes:
        seconds: wall-clock time.
        gib: peak memory; None if the device does not tell.
    """

    seconds: float = 0.0
    gib: float | None = None


@contextmanager
def measured(device: torch.device) -> Iterator[Cost]:
    """Measures what is done inside, including what the device still has to finish."""
    cost, on_gpu = Cost(), device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    yield cost
    if on_gpu:
        torch.cuda.synchronize(device)
        cost.gib = torch.cuda.max_memory_allocated(device) / 2**30
    cost.seconds = time.perf_counter() - start


def inference(row: Row, device: torch.device, size: tuple[int, int], repeats: int) -> Cost:
    """The median cost of segmenting a photo of `size`, after a first time that does not count."""
    preset = PRESETS[row.preset]
    segmenter = EntitySegmenter(CropFormer(preset.config), preset, device=device.type, name=row.preset)
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    options = {"size": row.size, "max_size": row.longest, "min_score": 0.0}
    segmenter(photo, **options)
    costs = []
    for _ in range(repeats):
        with measured(device) as cost:
            segmenter(photo, **options)
        costs.append(cost)
    return summed_up(costs)


def summed_up(costs: list[Cost]) -> Cost:
    """The median time, and the largest memory."""
    known = [cost.gib for cost in costs if cost.gib is not None]
    return Cost(statistics.median(cost.seconds for cost in costs), max(known, default=None))


def training(row: Row, device: torch.device, batch: int, steps: int) -> tuple[Cost, int]:
    """The median cost of a training step, without the making of its pictures; and the steps of the published run.

    A first step does not count.
    """
    config = settings_for(row.preset)
    samples = replace(config.samples, batch=batch)
    if samples.short:
        samples = replace(samples, short=(row.size,), longest=row.longest)
    config = replace(config, samples=samples, device=device.type)
    task = CropFormerTask(config)
    model = task.model(new=True).to(device).train()
    parts = optimizers(model, config)
    dtype = training_dtype(config, device)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    costs = []
    for drawn in task.batches(0, steps + 1, 0):
        with measured(device) as cost:
            terms = task.losses(model, drawn, device, computing_in(dtype, device))
            scaler.scale(torch.stack([*terms.values()]).sum()).backward()
            for part in parts:
                scaler.step(part)
            scaler.update()
            model.zero_grad(set_to_none=True)
        costs.append(cost)
    return summed_up(costs[1:]), config.steps


@torch.inference_mode()
def grounding(preset: str, device: torch.device, read: int, written: int) -> dict[str, Cost]:
    """The cost of GELLA's parts for one photo, by the names of `SECONDS`."""
    config = GELLAS[preset]
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    with torch.device(device):
        model = Gella(config).eval()
    model.language.to(dtype)
    pixels = torch.randn(1, 3, config.vision.side, config.vision.side, device=device, dtype=dtype)
    colours = torch.rand(1, 3, config.colormap_side, config.colormap_side, device=device) * 2 - 1
    text = torch.full((read,), config.language.begin_token, device=device)
    text[1] = config.language.image_token

    def encode() -> tuple[torch.Tensor, torch.Tensor]:
        sight = model.language.see(pixels)
        model.colormap(colours)
        return sight.grid, sight.tokens

    def speak(tokens: torch.Tensor) -> None:
        embedded, _, _ = model.language.words(tokens, [text])
        past = None
        for _ in range(written):
            logits, past = model.language.continued(embedded, past)
            embedded = model.language.embedded(logits[:, -1:].argmax(-1))

    costs: dict[str, Cost] = {}
    for _ in range(2):  # the first time does not count
        with measured(device) as costs["image + mask encoder"]:
            grid, tokens = encode()
        with measured(device) as costs["language model"]:
            speak(tokens)
        with measured(device) as costs["mask decoder"]:
            model.reconstruct(grid.float(), colours)
    return costs


def table(
    rows: Mapping[str, Row], device: torch.device, size: tuple[int, int], batch: int, repeats: int
) -> dict[str, dict[str, float | None]]:
    """Measures and prints the rows of Table 7, with the paper's figures in parentheses.

    Args:
        rows: the rows by name.
        device: where to compute.
        size: height and width of the photo in pixels.
        batch: pictures in a training step.
        repeats: number of training steps and of photos to take the median of.

    Returns:
        The figures by row; empty for a row that needs more memory than the device has.
    """
    print("model, size: training memory GiB, inference memory GiB, training GPU days, inference ms (paper)")
    found: dict[str, dict[str, float | None]] = {}
    for name, row in rows.items():
        try:
            step, steps = training(row, device, batch, repeats)
            seen = inference(row, device, size, repeats)
            found[name] = {
                "training_gib": step.gib,
                "inference_gib": seen.gib,
                "training_days": step.seconds * steps * 16 / batch / DAY,  # the published run has 16 pictures in a step
                "inference_ms": 1000 * seen.seconds,
            }
            cells = ", ".join(map(_cell, found[name].values(), row.paper or [None] * 4, (".1f", ".1f", ".1f", ".0f")))
        except torch.OutOfMemoryError:
            found[name], cells = {}, "out of memory"
        print(f"{row.preset}, {row.size}/{row.longest}: {cells}", flush=True)
    return found


def _cell(value: float | None, paper: float | None, style: str) -> str:
    own = "-" if value is None else format(value, style)
    return own if paper is None else f"{own} ({paper:g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    published = [name for name, row in ROWS.items() if row.paper]
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=published, help="[those of the paper]")
    parser.add_argument("--batch", type=int, default=2, help="pictures in a training step; 16 on 8 devices are 2")
    parser.add_argument("--repeats", type=int, default=5, help="runs to take the median of")
    parser.add_argument("--gella", default="gella-7b", choices=[*GELLAS])
    parser.add_argument("--part", choices=("cropformer", "gella"), help="measure only one of them")
    add_out(parser)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    figures: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    if arguments.part != "gella":
        rows = {name: ROWS[name] for name in arguments.rows}
        figures |= table(rows, device, (2700, 4050), arguments.batch, arguments.repeats)
        seconds |= {name: (own.get("inference_ms") or 0) / 1000 for name, own in figures.items()}
    if arguments.part != "cropformer":
        costs = grounding(arguments.gella, device, 300, 100)
        print(f"{arguments.gella}: seconds and peak memory (the paper's seconds for 7B)")
        for name, paper in SECONDS.items():
            cost = costs[name]
            memory = "" if cost.gib is None else f", {cost.gib:.1f} GiB"
            print(f"  {name}: {cost.seconds:.2f} s{memory} ({paper})")
            figures[f"{arguments.gella}, {name}"] = asdict(cost)
            seconds[f"{arguments.gella}, {name}"] = cost.seconds
    save(arguments.out, "memory_and_time", figures, seconds, "seconds for a photo")


if __name__ == "__main__":
    main()
