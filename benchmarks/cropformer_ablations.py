"""CropFormer's ablations at the size of cropformer-nano: Tables 8 b, 9 a, 9 b and 9 c of the paper.

    python -m benchmarks.cropformer_ablations --steps 60 --scenes 40

Every variant starts from the bundled weights without their association, learns both levels for the same few steps on
the same synthetic scenes, and is measured (AP^e) on the same held-out scenes, which are larger than a view, so that
crops show more detail. Such a short training shows what is learned sooner, not the final quality. The result of the
paper's variant with another seed, printed below the tables, says how much a difference means. An interrupted run
resumes, and trained variants are kept in `--out`.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from esg.models.cropformer.fusion import FUSIONS
from esg.support.device import choose_device, computing_in
from esg.support.weight_files import read_state_dict
from esg.training.checkpoint import load_checkpoint
from esg.training.cropformer import CropFormerTask, TrainConfig
from esg.training.loop import train
from esg.training.measure import MeasureConfig
from esg.training.samples import SampleConfig
from esg.weights.finding import locate

from .records import machine_line

SIZES = ((224, 288), (288, 224))
SEEDS = (0, 1)


@dataclass(frozen=True)
class Variant:
    """The changes in training, and the number of crops in the test.

    Attributes:
        crops: places of the crop in training, see `samples.CROPS`.
        ratio: crop ratio in training and test.
        parts: parts of the association, see `association.PARTS`.
        seed: seed of the samples.
    """

    crops: str = "fixed-4"
    ratio: float = 0.7
    parts: tuple[str, ...] = ("cross", "self", "ffn")
    seed: int = SEEDS[0]

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.crops}-{self.ratio}-{'-'.join(self.parts)}-seed{self.seed}"


PAPER = Variant()
TABLES: dict[str, tuple[tuple[str, Variant, str, int, float], ...]] = {
    # title of the row, variant, fusion, crops in the test, AP^e in the paper
    "8b": (
        ("I-O", PAPER, "io", 4, 39.3),
        ("B-O", PAPER, "bo", 4, 39.1),
        ("B-C", PAPER, "bc", 4, 40.2),
        ("B-OC", PAPER, "boc", 4, 41.0),
    ),
    "9a": tuple(
        (f"δ = {ratio}", Variant(ratio=ratio), "boc", 4, paper)
        for ratio, paper in ((0.5, 38.5), (0.6, 40.2), (0.7, 41.0), (0.8, 40.9))
    ),
    "9b": (
        ("random / fixed (4)", Variant(crops="random"), "boc", 4, 39.7),
        ("fixed (4) / fixed (4)", PAPER, "boc", 4, 41.0),
        ("fixed (4) / fixed (8)", PAPER, "boc", 8, 41.3),
        ("fixed (8) / fixed (8)", Variant(crops="fixed-8"), "boc", 8, 41.0),
    ),
    "9c": (
        ("XAtt", Variant(parts=("cross",)), "boc", 4, 40.7),
        ("XAtt, FFN", Variant(parts=("cross", "ffn")), "boc", 4, 40.8),
        ("XAtt, SAtt", Variant(parts=("cross", "self")), "boc", 4, 40.8),
        ("XAtt, SAtt, FFN", PAPER, "boc", 4, 41.0),
    ),
}


def without_association(out: Path) -> Path:
    """Writes the bundled weights without the association, from which every variant starts."""
    state, metadata = read_state_dict(locate("cropformer-nano", task="entity"))
    kept = {name: value for name, value in state.items() if not name.startswith("association.")}
    save_file(kept, out, metadata)
    return out


def trained(variant: Variant, init: Path, arguments: argparse.Namespace) -> tuple[CropFormerTask, dict]:
    """Trains a variant if necessary; returns its task and averaged weights."""
    config = TrainConfig(
        steps=arguments.steps,
        optimizer="muon",
        lr=3e-4,
        backbone_lr=0.1,
        warmup=min(10, arguments.steps),
        cooldown=0.8,
        ema=0.9,
        attention="eager",
        workers=arguments.workers,
        device=arguments.device,
        measure_steps=0,
        init=str(init),
        model={"association_parts": list(variant.parts)},
        samples=SampleConfig(
            batch=arguments.batch,
            sizes=SIZES,
            crops=variant.crops,
            crop_ratio=variant.ratio,
            seed=variant.seed,
        ),
        categories=0.0,
        frozen_stages=5,
        mask_piloted=False,
    )
    task, run_dir = CropFormerTask(config), arguments.out / variant.name
    train(task, run_dir)
    state = load_checkpoint(run_dir)
    if state is None or state["step"] < config.steps:
        raise SystemExit(f"{variant.name} was interrupted; run the same command again to resume.")
    return task, state["ema"]


def measured(
    variant: Variant, init: Path, fusions: tuple[str, ...], crops: int, arguments: argparse.Namespace
) -> dict[str, float]:
    """AP^e of a variant in percent, by fusion."""
    task, weights = trained(variant, init, arguments)
    measure = MeasureConfig(
        scenes=arguments.scenes, height=448, width=576, short=224, longest=288, fusions=fusions, crops=crops,
        crop_ratio=variant.ratio,
    )  # fmt: skip
    task = CropFormerTask(dataclasses.replace(task.config, measure=measure))
    model, device = task.model(new=False).eval(), choose_device(arguments.device)
    found = task.measure(model.to(device), weights, device, computing_in(torch.float32, device))
    return {fusion: 100 * found[f"AP_{fusion}"] for fusion in fusions}


def rows(tables: list[str], init: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """The lines of the tables, as they are measured."""
    known: dict[tuple[Variant, int], dict[str, float]] = {}
    for table in tables:
        yield f"\n| Table {table[0]} {table[1]} | AP^e here | paper |\n|---|---|---|"
        for title, variant, fusion, crops, paper in TABLES[table]:
            if (variant, crops) not in known:
                fusions = tuple(FUSIONS) if variant == PAPER and crops == 4 else ("boc",)
                known[variant, crops] = measured(variant, init, fusions, crops, arguments)
            yield f"| {title} | {known[variant, crops][fusion]:.1f} | {paper} |"
    again = measured(replace(PAPER, seed=SEEDS[1]), init, ("boc",), 4, arguments)["boc"]
    if (PAPER, 4) in known:
        yield f"\nThe paper's variant with another seed: {again:.1f} instead of {known[PAPER, 4]['boc']:.1f}"


def main() -> None:
    """Trains, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), metavar="TABLE")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=4, help="pictures per step")
    parser.add_argument("--scenes", type=int, default=40, help="number of held-out scenes to measure on")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1, help="number of processes that prepare pictures")
    parser.add_argument("--out", type=Path, default=Path("runs/cropformer-ablations"), help="folder of the runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        init = without_association(Path(folder) / "start.safetensors")
        print(machine_line())
        print(f"{arguments.steps} steps of {arguments.batch} scenes, measured on {arguments.scenes} scenes of 576x448")
        for line in rows(arguments.tables, init, arguments):
            print(line, flush=True)


if __name__ == "__main__":
    main()
