"""The paper's ablations of GELLA at the size of gella-nano (Tables XV b, XVII, XX), each variant trained from scratch.

    python -m benchmarks.grounding_ablations --photos ../shared/data/bsds500/train --steps 800 --scenes 200

All variants get the same pictures, masks and texts, use the settings of `docs/recipes/gella-nano.json`, and are
measured with averaged weights on the same held-out scenes with true masks, like `esg eval narratives`. Such a short
training shows what is learned sooner, not the final quality. An interrupted run resumes. Several processes can train
one variant each (`--variants`); a last call prints the table once all are trained.

The variant `regions` has no colormap encoder, ResoBlend or mask decoder: an entity is represented by the mean of the
image features under its mask, passed through two layers. (Table XX uses features of boxes.)
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esg.evaluation.narratives import evaluate_narratives, evaluate_reconstruction
from esg.grounder import Grounder
from esg.models.gella.config import GellaConfig
from esg.models.gella.inference import GellaInference
from esg.models.gella.model import Gella, Reconstruction
from esg.models.layers.mask_decoder import Prediction
from esg.support.device import choose_device
from esg.training.auxiliary import GellaInTraining
from esg.training.checkpoint import load_checkpoint
from esg.training.gella import GellaTask, GellaTrainConfig
from esg.training.loop import train
from esg.training.settings import read_config
from esg.training.vocabulary import run_tokenizer

RECIPE = Path(__file__).parent.parent / "docs" / "recipes" / "gella-nano.json"
CERTAIN = 10.0  # logit of a known mask


class RegionGella(Gella):
    """Grounds nouns in mean image features under the given masks, which it finds by their colours in the colormap."""

    def __init__(self, config: GellaConfig) -> None:
        super().__init__(config)
        del self.colormap, self.blend, self.pixel_decoder, self.decoder
        width = config.decoder.width
        self.region = nn.Sequential(
            nn.Linear(config.vision.width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.LayerNorm(width)
        )

    def reconstruct(self, grid: Tensor, colormaps: Tensor, maps: Sequence[Tensor] = ()) -> Reconstruction:
        """Like `Gella.reconstruct`; a "query" is the region of one colour, and reconstructs exactly that region."""
        regions = coloured(colormaps, self.config.decoder.queries)  # (N, Q, M, M)
        shares = F.adaptive_avg_pool2d(regions, grid.shape[-1]).flatten(2)  # (N, Q, g²)
        mean = shares @ grid.float().flatten(2).mT / shares.sum(-1, keepdim=True).clamp(min=1e-6)
        count, queries = regions.shape[:2]
        features = (regions[..., 2::4, 2::4] * 2 - 1) * CERTAIN  # one channel per region
        own = torch.eye(queries, device=grid.device).expand(count, -1, -1)
        known = Prediction(features.new_zeros(count, queries, 2), own)
        return Reconstruction(features, [known], None, self.region(mean))


def coloured(colormaps: Tensor, most: int) -> Tensor:
    """Regions of one colour, without black: colormaps (N, 3, M, M) in -1..1 → (N, most, M, M) float32, 0 or 1.

    Regions are ordered by colour, and only the first `most` are kept; if there are fewer, the last ones are empty.
    """
    levels = ((colormaps.float() + 1) * 127.5).round().long()
    codes = (levels[:, 0] * 256 + levels[:, 1]) * 256 + levels[:, 2]
    regions = torch.zeros(len(codes), most, *codes.shape[1:], device=codes.device)
    for own, code in zip(regions, codes):
        colours = code.unique()
        for region, colour in zip(own, colours[colours > 0]):
            region.copy_(code == colour)
    return regions


class RegionTask(GellaTask):
    """The training of region features."""

    def model(self, *, new: bool) -> GellaInTraining:
        """A model with random weights."""
        return GellaInTraining(RegionGella(self.architecture))


@dataclass(frozen=True)
class Variant:
    """A model to train.

    Attributes:
        model: changes to gella-nano, see `GellaTrainConfig`.
        task: the task that trains it.
    """

    model: dict[str, Any] = field(default_factory=dict)
    task: type[GellaTask] = GellaTask


VARIANTS = {
    "as it ships": Variant(),
    "location colours": Variant({"colours": "location"}),
    "no skip": Variant({"blend": {"skip": False}}),
    "regions": Variant(task=RegionTask),
}


def trained(name: str, config: GellaTrainConfig, run_dir: Path) -> GellaInference:
    """Trains a variant if necessary, and returns it with its averaged weights."""
    tokenizer = run_tokenizer(config, run_dir)
    task = VARIANTS[name].task(config, tokenizer)
    train(task, run_dir)
    state = load_checkpoint(run_dir)
    if state is None or state["step"] < config.steps:
        raise SystemExit(f"{name} was interrupted; run the same command again to resume.")
    pupil = task.model(new=False)
    pupil.load_state_dict(state["ema"])
    return GellaInference(pupil.gella, tokenizer, choose_device("auto" if config.device == "auto" else config.device))


def measured(model: GellaInference, scenes: int) -> dict[str, float]:
    """Figures of `esg eval narratives` in percent, and the share of reconstructed masks."""
    found = evaluate_narratives(Grounder(model), scenes)
    found["reconstructed"] = evaluate_reconstruction(model, scenes)["all"]
    return {name: 100 * value for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", nargs="*", default=(), help="folders of labelled photos to train on as well")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=4, help="pictures per step")
    parser.add_argument("--scenes", type=int, default=200, help="number of held-out scenes to measure on")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1, help="number of processes that prepare pictures")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("runs/grounding-ablations"), help="folder of the runs")
    arguments = parser.parse_args()
    recipe: Any = read_config(RECIPE, GellaTrainConfig())
    share = recipe.samples.photo_share if arguments.photos else 0.0
    samples = replace(recipe.samples, batch=arguments.batch, photos=tuple(arguments.photos), photo_share=share)
    columns = {"AR": "AR", "AR_things": "things", "AR_stuff": "stuff", "cIoU": "cIoU", "reconstructed": "reconstructed"}
    rows = []
    for name in arguments.variants:
        config = dataclasses.replace(
            recipe,
            model=VARIANTS[name].model,
            steps=arguments.steps,
            samples=samples,
            device=arguments.device,
            workers=arguments.workers,
        )
        model = trained(name, config, arguments.out / name.replace(" ", "-"))
        size = sum(parameter.numel() for parameter in model.model.parameters()) / 1e6
        found = measured(model, arguments.scenes)
        rows.append(f"| {name} | {size:.1f} M | " + " | ".join(f"{found[column]:.1f}" for column in columns) + " |")
        print(rows[-1], flush=True)
    print(f"\n| {arguments.steps} steps of {arguments.batch} pictures | parameters | {' | '.join(columns.values())} |")
    print("|---|---|" + "---|" * len(columns))
    print("\n".join(rows))


if __name__ == "__main__":
    main()
