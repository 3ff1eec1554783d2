"""Memory and time on a GPU, as in Table 7 of the CropFormer paper (Table VI of GELLA's) and in Table XII b.

    python -m benchmarks.memory_and_time --device cuda

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
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

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

DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Row:
    """A row of Table 7.

    Attributes:
        preset: the architecture.
        size, longest: working size of the views.
        paper: memory in training and in inference (GB), training time (GPU days), inference time (ms).
    """

    preset: str
    size: int
    longest: int
    paper: tuple[float, float, float, float]


ROWS = (
    Row("mask2former-swin-tiny", 800, 1333, (5.8, 3.0, 2.4, 637)),
    Row("mask2former-swin-tiny", 2700, 4500, (58.8, 10.4, 60.8, 3312)),
    Row("cropformer-swin-tiny", 800, 1333, (11.4, 6.9, 9.8, 1503)),
)
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
    """The mean cost of segmenting a photo of `size`, after a first one that does not count."""
    preset = PRESETS[row.preset]
    segmenter = EntitySegmenter(CropFormer(preset.config), preset, device=device.type, name=row.preset)
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    options = {"size": row.size, "max_size": row.longest, "min_score": 0.0}
    segmenter(photo, **options)
    with measured(device) as cost:
        for _ in range(repeats):
            segmenter(photo, **options)
    return Cost(cost.seconds / repeats, cost.gib)


def training(row: Row, device: torch.device, batch: int, steps: int) -> tuple[Cost, int]:
    """The mean cost of a training step, without the making of its pictures; and the steps of the published run."""
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
    seconds, peaks = [], []
    for drawn in task.batches(0, steps + 1, 0):
        with measured(device) as cost:
            terms = task.losses(model, drawn, device, computing_in(dtype, device))
            scaler.scale(torch.stack([*terms.values()]).sum()).backward()
            for part in parts:
                scaler.step(part)
            scaler.update()
            model.zero_grad(set_to_none=True)
        seconds.append(cost.seconds)
        peaks.append(cost.gib)
    return Cost(sum(seconds[1:]) / steps, max((one for one in peaks if one is not None), default=None)), config.steps


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


def _cell(value: float | None, paper: float, style: str) -> str:
    return f"{'-' if value is None else format(value, style)} ({paper:g})"


def lines(
    device: torch.device, say: Callable[[str], None], *, size: tuple[int, int], batch: int, repeats: int, rows: tuple
) -> None:
    """Writes Table 7 row by row, with the paper's figures in parentheses."""
    say("model, size: training memory GiB, inference memory GiB, training GPU days, inference ms (paper)")
    for row in rows:
        cells = []
        try:
            step, steps = training(row, device, batch, repeats)
            days = step.seconds * steps * 16 / batch / DAY  # the published run has 16 pictures in a step
            seen = inference(row, device, size, repeats)
            train, test, time_, ms = row.paper
            cells = [_cell(step.gib, train, ".1f"), _cell(seen.gib, test, ".1f")]
            cells += [_cell(days, time_, ".1f"), _cell(1000 * seen.seconds, ms, ".0f")]
        except torch.OutOfMemoryError:
            cells = ["out of memory"]
        say(f"{row.preset}, {row.size}/{row.longest}: {', '.join(cells)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=2, help="pictures in a training step; 16 on 8 devices are 2")
    parser.add_argument("--repeats", type=int, default=5, help="runs to take the mean of")
    parser.add_argument("--gella", default="gella-7b", choices=[*GELLAS])
    parser.add_argument("--part", choices=("cropformer", "gella"), help="measure only one of them")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    if arguments.part != "gella":
        lines(device, print, size=(2700, 4050), batch=arguments.batch, repeats=arguments.repeats, rows=ROWS)
    if arguments.part != "cropformer":
        costs = grounding(arguments.gella, device, 300, 100)
        print(f"{arguments.gella}: seconds and peak memory (the paper's seconds for 7B)")
        for name, paper in SECONDS.items():
            cost = costs[name]
            memory = "" if cost.gib is None else f", {cost.gib:.1f} GiB"
            print(f"  {name}: {cost.seconds:.2f} s{memory} ({paper})")


if __name__ == "__main__":
    main()
