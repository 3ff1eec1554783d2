"""Time, peak memory and agreement on an NVIDIA GPU, in one run of less than ten minutes.

    python -m benchmarks.gpu --out results      # on a machine with a GPU
    python -m benchmarks.gpu --dry-run          # the same steps on the CPU with tiny models, to test this script

Three parts, each of which can be left out (`--parts segment agree words`):

- segment: a photo from pixels to label map, CropFormer Swin-T with random weights, five views. The first row is the
  authors' way of computing: fp32, attention as plain products, and fusion of all masks at the photo's size. The others
  are ours with each option. The target is 3 times the speed and half the memory of the first row; the paper has 1503 ms
  and 6.9 GB on an A100.
- agree: the share of pixels to which `cropformer-nano` (real weights, real photos) assigns the same entity as in fp32
  on the same device, whatever the entity's number; the target is 99.5 %.
- words: GELLA 7B in bf16 with random weights: the image encoder, a narrative of 120 tokens, an answer that copies its
  prompt with and without guesses, and the association with 5 and 100 entities. The paper has 4.2 s for a narrative; the
  target is 1.5 s.

A part that fails is reported, and the others still run.
"""

from __future__ import annotations

import argparse
import gc
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from benchmarks.end_to_end import photo
from benchmarks.fusion import straight_fusion
from benchmarks.memory_and_time import measured
from benchmarks.records import add_out, save
from esg.entities.entity_map import EntityMap
from esg.entities.label_arrays import count_pairs
from esg.models.cropformer import inference
from esg.models.cropformer.config import PRESETS, CropFormerConfig, Preset
from esg.models.cropformer.model import CropFormer
from esg.models.gella.config import PRESETS as GELLA_PRESETS
from esg.models.gella.config import DecoderConfig, GellaConfig, LanguageConfig, VisionConfig
from esg.models.gella.conversation import Text
from esg.models.gella.model import Gella
from esg.models.gella.writing import write
from esg.models.grounding_model import GenerationConfig
from esg.models.layers.attention import set_attention
from esg.models.layers.swin import SwinConfig
from esg.pictures.reading import read_image
from esg.segmenter import EntitySegmenter
from esg.support.attention import has_xformers
from esg.support.device import computing_in

EXAMPLES = Path(__file__).resolve().parent.parent / "web_demo" / "examples"
TOKENS = 120

TINY = Preset(
    CropFormerConfig(
        SwinConfig(width=8, depths=(1, 1, 1, 1), heads=(1, 1, 1, 1)),
        queries=10,
        width=32,
        heads=2,
        decoder_layers=1,
        decoder_ffn=32,
        encoder_layers=1,
        encoder_ffn=32,
    ),
    size=64,
    max_size=96,
)
TINY_GELLA = GellaConfig(
    vision=VisionConfig(width=32, ffn=32, layers=2, heads=2, side=56, patch=14),
    language=LanguageConfig(
        vocabulary=64, width=32, ffn=32, layers=2, heads=2, context=512, image_token=3, pad_token=0, seg_token=4
    ),
    decoder=DecoderConfig(width=32, heads=2, queries=8, layers=1, ffn=32, encoder_layers=1, encoder_ffn=32),
    colormap_side=64,
)


class Bench:
    """Measures calls on one device.

    Args:
        device: where.
        dry: whether to do everything once, with tiny models.
    """

    def __init__(self, device: torch.device, dry: bool) -> None:
        self.device, self.dry = device, dry
        self.repeats = 1 if dry else 5
        self.figures: dict[str, dict[str, float]] = {}

    def measure(self, name: str, work: Callable[[], Any], **more: float) -> float:
        """Median seconds of a call after two that warm up, and the most memory that it takes; prints and keeps both."""
        for _ in range(0 if self.dry else 2):
            work()
        costs = []
        for _ in range(self.repeats):
            with measured(self.device) as cost:
                work()
            costs.append(cost)
        row = {"seconds": statistics.median(cost.seconds for cost in costs), **more}
        peaks = [cost.gib for cost in costs if cost.gib is not None]
        if peaks:
            row["gib"] = max(peaks)
        self.figures[name] = row
        print(f"{name:44}" + "".join(f"  {what} {value:.4g}" for what, value in row.items()), flush=True)
        return row["seconds"]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Reports an error instead of ending the run, and frees the memory afterwards."""
        try:
            yield
        except Exception as error:  # whatever a library raises here, the other rows are still of use
            print(f"{name:44}  failed: {type(error).__name__}: {str(error).strip().splitlines()[:1]}", flush=True)
            self.figures[name] = {}
        if self.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()


def segment(bench: Bench) -> None:
    """Time and memory of a photo, the authors' way and ours with each option."""
    preset = TINY if bench.dry else PRESETS["cropformer-swin-tiny"]
    picture = photo(90, 120) if bench.dry else photo(1200, 1800)

    def made(precision: str = "fp32", attention: str = "auto", *, compiled: bool = False) -> EntitySegmenter:
        torch.manual_seed(0)
        model = CropFormer(preset.config)
        set_attention(model, attention)
        if compiled:
            model.compile_levels()
        return EntitySegmenter(model, preset, device=str(bench.device), precision=precision, name="swin-tiny")

    half = "bf16" if bench.dry else "fp16"
    rows: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "ours, fp32": ({}, {}),
        "ours, bf16": ({"precision": "bf16"}, {}),
        f"ours, {half}": ({"precision": half}, {}),
        "ours, bf16, PyTorch's attention": ({"precision": "bf16", "attention": "sdpa"}, {}),
        "ours, bf16, views one by one": ({"precision": "bf16"}, {"views_at_once": 1}),
        "ours, fp32, compiled": ({"compiled": True}, {}),
        "ours, bf16, compiled": ({"precision": "bf16", "compiled": True}, {}),
    }
    if has_xformers() and bench.device.type == "cuda":
        rows["ours, bf16, xformers"] = ({"precision": "bf16", "attention": "xformers"}, {})
    with bench.part("the authors' way, fp32"), fusing_by(straight_fusion):
        segmenter = made(attention="eager")
        bench.measure("the authors' way, fp32", lambda: segmenter(picture, min_score=0, views_at_once=5))
    for name, (options, views) in rows.items():
        if bench.dry and options.get("compiled"):
            continue  # minutes on a CPU
        with bench.part(name):
            segmenter = made(**options)
            bench.measure(name, lambda s=segmenter, v=views: s(picture, min_score=0, **v))
            del segmenter
    with bench.part("ours, bf16, fused on the CPU"), fusing_by(None):
        segmenter = made("bf16")
        bench.measure("ours, bf16, fused on the CPU", lambda: segmenter(picture, min_score=0))


@contextmanager
def fusing_by(fuse: Callable[..., Any] | None) -> Iterator[None]:
    """Makes segmenters fuse by another function, given the masks where they are; None: on the CPU."""
    there, devices = inference.fuse_there, inference._FUSING
    try:
        if fuse is None:
            inference._FUSING = set()
        else:
            inference._FUSING = {"cpu", "cuda"}
            inference.fuse_there = lambda masks, scores, geometry, **options: fuse(masks, scores, geometry)
        yield
    finally:
        inference.fuse_there, inference._FUSING = there, devices


def agree(bench: Bench) -> None:
    """The share of pixels with the same entity in each precision, on real photos with real weights."""
    pictures = [read_image(path) for path in sorted(EXAMPLES.glob("*.jpg"))[: 1 if bench.dry else None]]
    size = {"size": 64} if bench.dry else {}

    def maps(**options: Any) -> list[EntityMap]:
        segmenter = EntitySegmenter.from_pretrained(device=str(bench.device), **options)
        return [segmenter(picture, **size) for picture in pictures]

    expected = maps()
    options: list[dict[str, Any]] = [{"precision": "bf16"}]
    if not bench.dry:
        options += [{"precision": "fp16"}, {"compile": True}, {"precision": "bf16", "compile": True}]
    for changed in options:
        name = "agreement, " + ", ".join(str(value) if key == "precision" else key for key, value in changed.items())
        with bench.part(name):
            found = maps(**changed)
            shares = [agreement(one.labels, other.labels) for one, other in zip(expected, found)]
            bench.figures[name] = {"worst": min(shares), "mean": statistics.mean(shares)}
            print(f"{name:44}  same entity: worst {min(shares):.4%}, mean {statistics.mean(shares):.4%}", flush=True)


def agreement(labels: np.ndarray, others: np.ndarray) -> float:
    """The share of pixels that have the same entity in two label maps (H, W), 0..1.

    Entities whose scores are almost equal may exchange their numbers, so entities are first matched one to one, for the
    largest total overlap. Pixels without an entity (0) only agree with each other.
    """
    pairs = count_pairs(labels, others, (int(labels.max()), int(others.max())))
    matched = linear_sum_assignment(pairs[1:, 1:], maximize=True)
    return float((pairs[0, 0] + pairs[1:, 1:][matched].sum()) / labels.size)


def words(bench: Bench) -> None:
    """Time and memory of GELLA 7B."""
    config = TINY_GELLA if bench.dry else GELLA_PRESETS["gella-7b"]
    half, device = torch.bfloat16, bench.device
    torch.manual_seed(0)
    torch.set_default_dtype(half)
    try:
        with torch.device(device):
            model = Gella(config).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(torch.float32)
    for name, part in model.named_children():
        if name != "language":
            part.float()

    @contextmanager
    def computing() -> Iterator[None]:
        with torch.inference_mode(), computing_in(half, device):
            yield

    said = config.language
    side = config.vision.side
    pixels = torch.randn(1, 3, side, side, device=device)
    drawn = torch.randint(5, said.vocabulary, (80 if not bench.dry else 8,)).tolist()
    drawn = [number for number in drawn if number not in (said.end_token, said.image_token, said.seg_token)]
    asked = Text(torch.tensor([said.begin_token, said.image_token, *drawn], device=device), 2 + len(drawn))
    tokens = 4 if bench.dry else TOKENS
    with computing():
        sight = model.language.see(pixels)
    with computing():
        bench.measure("GELLA, image encoder", lambda: model.language.see(pixels))

    def written(guesses: int) -> int:
        settings = GenerationConfig(max_tokens=tokens, guesses=guesses)
        return len(list(write(model.language, sight.tokens, asked, settings, context=computing)))

    bench.measure("GELLA, narrative", lambda: written(0), tokens=written(0))
    bench.measure("GELLA, narrative with 6 guesses", lambda: written(6), tokens=written(6))
    nouns = torch.tensor([said.seg_token] * 5, device=device)
    listed = Text(torch.cat((asked.ids, nouns)), len(asked.ids), tuple(nouns[:, None]))
    most = config.decoder.queries
    colours = torch.rand(1, 3, config.colormap_side, config.colormap_side, device=device) * 2 - 1

    def grounded(entities: int) -> None:
        with computing():
            reading = model.language.read(sight.tokens, [listed.ids])
            found = model.reconstruct(sight.grid, colours, sight.maps)
            model.associate(model.nouns(reading, [listed]), found.embeddings[:, :entities])

    for count in (5, most):
        bench.measure(f"GELLA, 5 nouns and {count} entities", lambda n=count: grounded(n))
    if not bench.dry:  # minutes on a CPU
        model.language.compile_steps()
        bench.measure("GELLA, narrative, compiled", lambda: written(0), tokens=written(0))


PARTS = {"segment": segment, "agree": agree, "words": words}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure [everything]")
    parser.add_argument("--dry-run", action="store_true", help="the same steps on the CPU, with tiny models")
    add_out(parser)
    arguments = parser.parse_args(argv)
    if not arguments.dry_run and not torch.cuda.is_available():
        print("Skipped: this needs an NVIDIA GPU, and PyTorch sees none; --dry-run tests the script on the CPU.")
        return
    bench = Bench(torch.device("cpu" if arguments.dry_run else "cuda"), arguments.dry_run)
    for name in arguments.parts:
        print(f"\n{name}", flush=True)
        with bench.part(name):
            PARTS[name](bench)
    bars = {name: row["seconds"] for name, row in bench.figures.items() if "seconds" in row}
    save(arguments.out, "gpu", bench.figures, bars, "seconds")


if __name__ == "__main__":
    main()
