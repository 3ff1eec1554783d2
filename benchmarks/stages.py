"""The time that each stage takes, and how far it is from the machine's rate of matrix products.

    python -m benchmarks.stages --model cropformer-nano --megapixels 0.5 2 12 24 100 --crops 0 4 8
    python -m benchmarks.stages --model gella-nano --tokens 10 40 120 --entities 5 20 60

A segmenter's stages are views (cutting and resizing), backbone, pixel decoder, decoders (both levels), fusion (masks,
label map, tidying) and export (label PNG and COCO JSON); GELLA's are vision, caption, nouns and association. All
settings run in turn, once in each round, and a figure is the median over the rounds. Seconds are the CPU's, summed over
all cores, so other work on the machine lengthens them little. The peak is the most memory that a run needs, in addition
to the memory that the process has before it, which includes model and photos (Linux). The weights of a segmenter may be
random (`--random`). GELLA's caption always has as many tokens as asked for, even if the model would end it earlier.

The rate is the number of operations of matrix products, convolutions and attention in a second of CPU time, and "of the
product" is its share of the rate of a large matrix product, measured before each round. Stages without such operations
have no rate.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from esg.entities.entity_map import EntityMap
from esg.grounder import Grounder
from esg.models.cropformer.config import PRESETS
from esg.models.cropformer.model import CropFormer
from esg.models.gella.language import Language
from esg.models.grounding_model import GenerationConfig
from esg.models.layers.linear import linear
from esg.segmenter import EntitySegmenter
from esg.weights.finding import locate, task_of

from .end_to_end import photo
from .flops import counter
from .memory import peak, start_peak
from .records import add_out, save

SENTENCE = "A dog sits on a wooden chair beside a table with a red cup. "
STAGES = ("views", "backbone", "pixel decoder", "decoders", "fusion", "export")  # of a segmenter
SIDE = 2048  # of the matrices whose product gives the machine's rate


@dataclass
class Stages:
    """The cost of one run.

    Attributes:
        seconds: CPU seconds of each stage.
        operations: operations of each stage.
        tokens: number of tokens in the caption; 0 for a segmenter.
        peak: bytes of memory that the run needs in addition to those before it; None if the system does not say.
    """

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    operations: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    tokens: int = 0
    peak: int | None = None

    @contextmanager
    def stage(self, name: str, operations: Callable[[], int]) -> Iterator[None]:
        """Adds the time and operations of the block to a stage."""
        before, start = operations(), time.process_time()
        yield
        self.seconds[name] += time.process_time() - start
        self.operations[name] += operations() - before


Run = Callable[[Stages, Callable[[], int]], None]


def segmenting(segmenter: EntitySegmenter, picture: np.ndarray, crops: int) -> Run:
    """A run of all stages from pixels to files."""

    def run(stages: Stages, operations: Callable[[], int]) -> None:
        for figures in (stages.seconds, stages.operations):
            figures.update(dict.fromkeys(STAGES, 0))
        model = segmenter.model
        parts = {"network": model, "backbone": model.backbone, "pixel decoder": model.pixel_decoder}
        with _watched(parts, stages, operations), stages.stage("views", operations):
            predicted = segmenter.predict(picture, crops=crops, max_pixels=picture.size)
        for figures in (stages.seconds, stages.operations):  # what is left of the outer stages
            figures["views"] -= figures["network"]
            figures["decoders"] = figures.pop("network") - figures["backbone"] - figures["pixel decoder"]
        with stages.stage("fusion", operations):
            entities = segmenter(predicted)
        with stages.stage("export", operations), tempfile.TemporaryDirectory() as folder:
            entities.save_labels_png(Path(folder, "labels.png"))
            entities.save_coco(Path(folder, "entities.json"))

    return run


@contextmanager
def _watched(parts: dict[str, nn.Module], stages: Stages, operations: Callable[[], int]) -> Iterator[None]:
    """Measures the calls of these modules."""
    hooks, running = [], {}

    def before(module: nn.Module, *_: Any) -> None:
        running[module] = stages.stage(next(name for name, part in parts.items() if part is module), operations)
        running[module].__enter__()

    def after(module: nn.Module, *_: Any) -> None:
        running.pop(module).__exit__(None, None, None)

    for part in parts.values():
        hooks += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def grounding(grounder: Grounder, picture: np.ndarray, tokens: int, count: int) -> Run:
    """A run of all stages of GELLA: a caption of `tokens` tokens, then a text of as many words and `count` entities."""
    words = (SENTENCE * math.ceil(tokens / len(SENTENCE.split()))).split()[:tokens]
    text = " ".join(words).rstrip(".") + "."

    def run(stages: Stages, operations: Callable[[], int]) -> None:
        model: Any = grounder.model  # a `GellaInference`
        entities = EntityMap.from_labels(cells(*picture.shape[:2], count))  # a new one, as the model remembers the last
        with stages.stage("vision", operations):
            sight = model.see(picture)
        with stages.stage("caption", operations), endless(model.model.language):
            stages.tokens = len(list(model.describe(sight, GenerationConfig(tokens))))
        with stages.stage("nouns", operations):
            spans = model.nouns(sight, text)
        with stages.stage("association", operations):
            model.scores(sight, entities, text, spans)

    return run


@contextmanager
def endless(language: Language) -> Iterator[None]:
    """Forbids a language model the token that ends a text, so that it writes as many tokens as it may."""

    def forbid(head: nn.Module, hidden: Any, logits: torch.Tensor) -> None:
        logits[..., language.config.language.end_token] = torch.finfo(logits.dtype).min

    hook = language.llava.get_output_embeddings().register_forward_hook(forbid)
    try:
        yield
    finally:
        hook.remove()


def cells(height: int, width: int, count: int) -> np.ndarray:
    """A label map (height, width) of `count` rectangles in rows and columns, which cover it."""
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    y, x = (np.arange(side) * parts // side for side, parts in ((height, rows), (width, columns)))
    return np.minimum(y[:, None] * columns + x, count - 1).astype(np.int32) + 1


def picture_of(megapixels: float) -> np.ndarray:
    """A photo (H, W, 3) uint8 of 3:2 with smooth colour blobs."""
    height = round(math.sqrt(megapixels * 1e6 / 1.5))
    small = Image.fromarray(photo(90, 135))  # Pillow resizes in bands, in little memory
    return np.asarray(small.resize((round(height * 1.5), height), Image.Resampling.BICUBIC))


def product_rate() -> float:
    """Operations of a large matrix product in a second of CPU time."""
    one, other = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    with torch.inference_mode():
        linear(one, other)
        start = time.process_time()
        linear(one, other)
    return 2 * SIDE**3 / (time.process_time() - start)


def measure(runs: dict[str, Run], rounds: int) -> dict[str, Any]:
    """Runs all settings in turn, `rounds` times.

    Returns:
        The rate of a matrix product; and for each setting, the peak in MiB (None if the system does not say it), the
        tokens of the caption, and for each stage the median seconds, their share, the operations, and the rate as a
        share of that of the product, None for stages without operations.
    """
    counted = {}
    for name, run in runs.items():  # also warms up
        counted[name] = Stages()
        with counter() as operations:
            run(counted[name], operations.get_total_flops)
    found: dict[str, list[Stages]] = defaultdict(list)
    rates = []
    for _ in range(rounds):
        rates.append(product_rate())
        for name, run in runs.items():
            found[name].append(stages := Stages())
            before = start_peak() if sys.platform == "linux" else None
            run(stages, lambda: 0)
            if before is not None:
                stages.peak = peak() - before
    rate = statistics.median(rates)
    settings = {}
    for name, own in found.items():
        seconds = {stage: statistics.median(one.seconds[stage] for one in own) for stage in own[0].seconds}
        total = sum(seconds.values())
        peaks = [one.peak for one in own if one.peak is not None]
        settings[name] = {
            "peak_mib": statistics.median(peaks) / 2**20 if peaks else None,
            "tokens": own[0].tokens,
            "stages": {
                stage: {
                    "seconds": value,
                    "share": value / total,
                    "operations": (operations := counted[name].operations[stage]),
                    "of_the_product": operations / value / rate if operations and value else None,
                }
                for stage, value in seconds.items()
            },
        }
    return {"product_gflops": rate / 1e9, "settings": settings}


def table(measured: dict[str, Any]) -> str:
    """The figures as a Markdown table: one row for each setting, one column for each stage."""
    settings = measured["settings"]
    first = next(iter(settings.values()))
    wrote = ["tokens written"] if first["tokens"] else []
    heads = [
        "setting",
        *wrote,
        "peak, MiB",
        "all, s",
        *(f"{stage}, s (share; of the product)" for stage in first["stages"]),
    ]
    rows = [heads, ["---"] * len(heads)]
    for name, own in settings.items():
        stages = own["stages"].values()
        tokens = [str(own["tokens"])] if wrote else []
        needed = "-" if own["peak_mib"] is None else f"{own['peak_mib']:.0f}"
        total = sum(figures["seconds"] for figures in stages)
        rows.append([name, *tokens, needed, f"{total:.2f}", *(_cell(figures) for figures in stages)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(figures: dict[str, Any]) -> str:
    rate = figures["of_the_product"]
    return f"{figures['seconds']:.3f} ({figures['share']:.0%}" + (f"; {rate:.0%})" if rate is not None else ")")


def settings_of(arguments: argparse.Namespace) -> dict[str, Run]:
    if not arguments.random and task_of(locate(arguments.model)) == "grounding":
        grounder, picture = Grounder.from_pretrained(arguments.model, device="cpu"), picture_of(2)
        return {
            f"{tokens} words, {count} entities": grounding(grounder, picture, tokens, count)
            for tokens, count in _either(arguments.tokens, arguments.entities)
        }
    segmenter = _segmenter(arguments.model, arguments.random)
    crops = arguments.crops if segmenter.model.association is not None else [0]
    return {
        f"{size:g} megapixels, {number} crops": segmenting(segmenter, picture, number)
        for size in arguments.megapixels
        for picture in [picture_of(size)]  # once for all numbers of crops
        for number in crops
    }


def _segmenter(name: str, random: bool) -> EntitySegmenter:
    if not random:
        return EntitySegmenter.from_pretrained(name, device="cpu")
    if name not in PRESETS:
        raise SystemExit(f"--random needs the name of a segmenter: {', '.join(PRESETS)}.")
    torch.manual_seed(0)
    return EntitySegmenter(CropFormer(PRESETS[name].config), PRESETS[name], device="cpu", name=name)


def _either(tokens: Sequence[int], entities: Sequence[int]) -> list[tuple[int, int]]:
    """All lengths with the first number of entities, and all numbers of entities with the first length."""
    return [(length, entities[0]) for length in tokens] + [(tokens[0], count) for count in entities[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cropformer-nano", help="name or file of the weights")
    parser.add_argument("--random", action="store_true", help="random weights for the segmenter of that name")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.5, 2, 12, 24, 100])
    parser.add_argument("--crops", type=int, nargs="+", default=[0, 4, 8])
    parser.add_argument(
        "--tokens", type=int, nargs="+", default=[10, 40, 120], help="of the caption, and words of the text (GELLA)"
    )
    parser.add_argument("--entities", type=int, nargs="+", default=[5, 20, 60], help="numbers of entities (GELLA)")
    parser.add_argument("--rounds", type=int, default=3)
    add_out(parser)
    arguments = parser.parse_args()
    measured = {"model": arguments.model, **measure(settings_of(arguments), arguments.rounds)}
    print(f"{arguments.model}, CPU seconds")
    print(f"a matrix product: {measured['product_gflops']:.0f} GFLOP/s for each core\n")
    print(table(measured))
    shares = {
        name: {stage: 100 * figures["share"] for stage, figures in own["stages"].items()}
        for name, own in measured["settings"].items()
    }
    save(arguments.out, f"stages-{Path(arguments.model).stem}", measured, shares, "share of the time in %")


if __name__ == "__main__":
    main()
