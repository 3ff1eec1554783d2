"""The paper's ablations of GELLA at the size of gella-nano (Tables XV, XVI, XVII, XIX, XX, XXIII).

    python -m benchmarks.grounding_ablations --table XVII --photos ../shared/data/bsds500/train --steps 800 --scenes 200

All variants get the same pictures, masks and texts, use the settings of `docs/recipes/gella-nano.json`, and are
measured with averaged weights on the same held-out scenes with true masks, like `esg eval narratives`. Such a short
training shows what is learned sooner, not the final quality. An interrupted run resumes, and a variant that is in
several tables is trained once. Each table is written to `--out` as Markdown and JSON.

Each variant starts from scratch with ImageNet's weights in its vision tower. With `--init gella-nano`, it has vision
and language of these weights instead, which do not learn; everything else starts from scratch and learns grounding
only. That takes a fraction of the time, and like the paper's own training it starts from a model that can read.

The appearance features of gella-nano are left out of all variants: they would give every one of them what only some of
Table XX have, image features under the mask.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.entity_features import BinaryMasks, BoxFeatures, MaskedAttention, MeanFeatures
from esg.evaluation.narratives import evaluate_narratives, evaluate_reconstruction
from esg.grounder import Grounder
from esg.models.gella.checkpoint import read_gella
from esg.models.gella.config import GellaConfig
from esg.models.gella.inference import GellaInference
from esg.models.gella.model import Gella
from esg.support.device import choose_device
from esg.training.auxiliary import GellaInTraining
from esg.training.checkpoint import load_checkpoint
from esg.training.gella import GellaTask, GellaTrainConfig
from esg.training.loop import train
from esg.training.run_tokenizer import run_tokenizer
from esg.training.settings import read_config
from esg.weights.finding import locate

from .records import machine, machine_line

RECIPE = Path(__file__).parent.parent / "docs" / "recipes" / "gella-nano.json"
FIGURES = {"AR": "AR", "AR_things": "things", "AR_stuff": "stuff", "cIoU": "cIoU", "reconstructed": "reconstructed"}


@dataclass(frozen=True)
class Variant:
    """A model to train.

    Attributes:
        model: changes to gella-nano, see `GellaTrainConfig`.
        build: function from the configuration to the network.
    """

    model: dict[str, Any] = field(default_factory=dict)
    build: Callable[[GellaConfig], Gella] = Gella


def _binary(outside: int, inside: int, pooling: str = "avg", blocks: int = 1) -> Variant:
    return Variant(build=lambda config: BinaryMasks(config, values=(outside, inside), pooling=pooling, blocks=blocks))


def _without(*parts: str) -> Variant:
    return Variant({"blend": dict.fromkeys((*parts, "skip"), False)})


VARIANTS: dict[str, Variant] = {
    "base": Variant(),
    "location": Variant({"colours": "location"}),
    "swin-tiny": Variant({"encoder": "swin-tiny"}),
    "literal": _without(),
    "no-sa": _without("self_attention"),
    "no-ca": _without("cross_attention"),
    "no-ff": _without("ffn"),
    "no-res": _without("residual"),
    "no-conv": _without("conv"),
    "mean": Variant(build=MeanFeatures),
    "roi-align": Variant(build=BoxFeatures),
    "mask-added": Variant(build=lambda config: MaskedAttention(config, multiplied=False)),
    "mask-multiplied": Variant(build=lambda config: MaskedAttention(config, multiplied=True)),
    "binary-masks": _binary(0, 255),
    "binary-01": _binary(0, 1),
    "binary-11": _binary(-1, 1),
    "binary-conv": _binary(0, 255, "conv"),
    "binary-cls": _binary(0, 255, "cls"),
    "binary-2": _binary(0, 255, blocks=2),
    "binary-3": _binary(0, 255, blocks=3),
    "binary-4": _binary(0, 255, blocks=4),
    "binary-5": _binary(0, 255, blocks=5),
    "two-layers": Variant({"association_layers": 2}),
}


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        title: its subject.
        measure: the measure of the paper's column.
        rows: for each row, its name, the variant, and the paper's figure; None if the paper does not have that row.
    """

    title: str
    measure: str
    rows: tuple[tuple[str, str, float | None], ...]


TABLES: dict[str, Table] = {
    "XV": Table("colours of the colormap", "PQ", (("location", "location", 52.9), ("random", "base", 53.1))),
    "XVI": Table(
        "backbone of the colormap encoder", "AP", (("MobileNetV2", "base", 95.2), ("Swin-Tiny", "swin-tiny", 95.8))
    ),
    "XVII": Table(
        "parts of ResoBlend",
        "PQ",
        (
            ("without SA", "no-sa", 51.8),
            ("without CA", "no-ca", 43.1),
            ("without FF", "no-ff", 52.8),
            ("without RES", "no-res", 50.9),
            ("without CONV", "no-conv", 52.4),
            ("all", "literal", 53.1),
            ("all, and our skip", "base", None),
        ),
    ),
    "XIX": Table(
        "binary masks instead of a colormap: values, pooling, blocks of attention",
        "AR",
        (
            ("{0, 1}, Avg, 1", "binary-01", 60.6),
            ("{-1, 1}, Avg, 1", "binary-11", 60.7),
            ("{0, 255}, Avg, 1", "binary-masks", 61.5),
            ("{0, 255}, Conv, 1", "binary-conv", 61.2),
            ("{0, 255}, CLS, 1", "binary-cls", 61.4),
            ("{0, 255}, Avg, 2", "binary-2", 61.9),
            ("{0, 255}, Avg, 3", "binary-3", 62.4),
            ("{0, 255}, Avg, 4", "binary-4", 62.4),
            ("{0, 255}, Avg, 5", "binary-5", 62.6),
            ("colormap", "base", 69.8),
        ),
    ),
    "XX": Table(
        "mask decoder",
        "AR",
        (
            ("region features: RoIAlign", "roi-align", 62.9),
            ("region features: mean under the mask", "mean", None),
            ("mask added in CA", "mask-added", 63.2),
            ("mask multiplied in CA", "mask-multiplied", 60.3),
            ("binary masks (Table XIX)", "binary-masks", 61.5),
            ("colormap", "base", 69.8),
        ),
    ),
    "XXIII": Table("association", "AR", (("FC+ReLU+FC", "two-layers", 69.7), ("FC", "base", 69.8))),
}


class VariantTask(GellaTask):
    """The training of a variant, without appearance features."""

    def __init__(self, variant: Variant, config: GellaTrainConfig, tokenizer: Any) -> None:
        super().__init__(config, tokenizer)
        self._variant = variant

    def model(self, *, new: bool) -> GellaInTraining:
        """The network; vision and language are those of `config.init`, which do not learn, or new ones."""
        built = self._variant.build(self.architecture)
        built.appearance = None
        if self.config.init is None:
            built.language = super().model(new=new).gella.language
        else:
            built.language = read_gella(self.config.init)[0].language.requires_grad_(False)
        return GellaInTraining(built)


def configured(variant: Variant, arguments: argparse.Namespace) -> GellaTrainConfig:
    """The settings of a variant's run."""
    recipe: GellaTrainConfig = read_config(RECIPE, GellaTrainConfig())
    share = recipe.samples.photo_share if arguments.photos else 0.0
    samples = replace(
        recipe.samples, batch=arguments.batch, photos=tuple(arguments.photos), photo_weights=(), photo_share=share
    )
    own = replace(
        recipe,
        model=variant.model,
        steps=arguments.steps,
        samples=samples,
        device=arguments.device,
        workers=arguments.workers,
        backbone_init=arguments.backbone_init,
    )
    if arguments.init is None:
        return own
    grounding = replace(samples, tasks=(0.0, 0.0, 1.0))  # the language model does not learn
    init = str(locate(arguments.init, task="grounding"))
    return replace(own, samples=grounding, init=init, backbone_init=None)


def trained(name: str, config: GellaTrainConfig, run_dir: Path) -> GellaInference:
    """Trains a variant if necessary, and returns it with its averaged weights."""
    tokenizer = run_tokenizer(config, run_dir)
    task = VariantTask(VARIANTS[name], config, tokenizer)
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
    found["reconstructed"] = evaluate_reconstruction(model, scenes).figures["all"]
    return {name: 100 * found[name] for name in FIGURES}


def markdown(number: str, found: Mapping[str, Mapping[str, float]], conditions: str) -> str:
    """A table in Markdown, with the figures of the variants of its rows."""
    table = TABLES[number]
    lines = [
        f"Table {number}: {table.title}. {conditions}",
        "",
        f"| | {' | '.join(FIGURES.values())} | parameters | {table.measure} in the paper |",
        "|---|" + "---|" * (len(FIGURES) + 2),
    ]
    for row, variant, paper in table.rows:
        own = found[variant]
        figures = " | ".join(f"{own[name]:.1f}" for name in FIGURES)
        lines.append(f"| {row} | {figures} | {own['parameters'] / 1e6:.1f} M | {'' if paper is None else paper} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", nargs="+", choices=[*TABLES], default=[*TABLES], metavar="NUMBER")
    parser.add_argument("--photos", nargs="*", default=(), help="folders of labelled photos to train on as well")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=4, help="pictures per step")
    parser.add_argument("--scenes", type=int, default=200, help="number of held-out scenes to measure on")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1, help="number of processes that prepare pictures")
    parser.add_argument("--backbone-init", default="efficientnet-lite0", help="ImageNet weights of the vision tower")
    parser.add_argument("--init", metavar="NAME|FILE", help="weights of a GELLA whose vision and language are kept")
    parser.add_argument("--out", type=Path, default=Path("runs/grounding-ablations"), help="folder of runs and tables")
    arguments = parser.parse_args()
    print(machine_line())
    conditions = f"{arguments.steps} steps of {arguments.batch} pictures, measured on {arguments.scenes} scenes, in %."
    found: dict[str, dict[str, float]] = {}
    for number in arguments.table:
        for _, name, _ in TABLES[number].rows:
            if name in found:
                continue
            model = trained(name, configured(VARIANTS[name], arguments), arguments.out / name)
            size = sum(parameter.numel() for parameter in model.model.parameters())
            found[name] = {**measured(model, arguments.scenes), "parameters": float(size)}
            print(f"{name}: {found[name]}", flush=True)
        text = markdown(number, found, conditions)
        print(f"\n{text}", flush=True)
        own = {row: {"paper": paper, **found[name]} for row, name, paper in TABLES[number].rows}
        settings = {"steps": arguments.steps, "batch": arguments.batch}
        content = {"machine": machine(), "table": number, **settings, "rows": own}
        (arguments.out / f"table-{number}.md").write_text(text, encoding="utf-8")
        (arguments.out / f"table-{number}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
