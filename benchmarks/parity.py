"""Checks that our code computes the same as the authors' code.

    python -m benchmarks.parity DIR

builds every model that has a fixture `<config>_<image>_<128|192>[_qk1].npz` in DIR with the deterministic weights of
the reference, compares stage by stage, prints the worst difference next to the allowed one, and exits with 1 if any
difference is too large. Scripts and manifests of the reference are taken from DIR, its parents, or
`../shared/reference`.

Ours is computed in double precision by default. The deterministic weights make the decoders chaotic: if a bit of an
attention mask flips because its logit is within single-precision rounding of zero, later heads change by 1e-1. In
double precision, only the reference's own rounding remains; `--precision float32` shows that of both sides.

`--spread 3` shows how chaotic a stage is: it runs our model against itself, in float32 and with every input value
disturbed by one rounding. A difference from the authors' code that is inside that spread is chaos; one outside it is a
bug.
`--self cropformer_swin_tiny_3x_A_192` prints the spread without a fixture.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from esg.entities.rle import decode_mask
from esg.models.cropformer import checkpoints
from esg.models.cropformer.config import PRESETS, Preset
from esg.models.cropformer.fusion import Fusion, fuse, fusion_views
from esg.models.cropformer.model import CropFormer, Output
from esg.models.cropformer.overlapping import Overlapping, overlapping
from esg.models.cropformer.views import Views, make_views
from esg.models.layers.attention import set_attention
from esg.models.layers.swin import relative_index
from esg.models.meta_init import Unfilled
from esg.support.attention import BACKENDS

from .records import Bars, add_out, save

NAME = re.compile(r"(?P<config>.+)_(?P<image>[A-Z])_(?P<size>128|192)(?P<gain>_qk1)?")
BEFORE_MASKS = 2e-5  # relative, up to the mask features and the first prediction heads
CLASS_LOGITS = 3e-3  # absolute, twice the difference between two runs of the authors' code
MASK_LOGITS = 1.4e-2
SCORES = 2e-3  # absolute; a score is at most 0.731, and its derivative by the class logit at most a quarter of that
PIXELS = 1e-3  # share of label map pixels that may differ


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        stage: what was compared.
        difference: the worst difference found.
        allowed: the one allowed.
        spread: how far the stage moves in our own model by rounding alone; None if not measured.
    """

    stage: str
    difference: float
    allowed: float
    spread: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the difference is allowed, or within what rounding alone can do."""
        return self.difference <= max(self.allowed, self.spread or 0)  # False for NaN

    def __str__(self) -> str:
        spread = f"{'' if self.spread is None else format(self.spread, '.1e'):>9}"
        chaos = "  chaos" if self.passed and self.difference > self.allowed else "" if self.passed else "  FAILED"
        return f"  {self.stage:32} {self.difference:9.1e} {self.allowed:9.1e} {spread}{chaos}"


class Reference:
    """The scripts and manifests that belong to a folder of fixtures."""

    def __init__(self, folder: Path) -> None:
        shared = Path(__file__).resolve().parents[2] / "shared" / "reference"
        self.places = [folder, *folder.resolve().parents[:2], shared]
        self.weights = self._script("deterministic_weights.py")
        self.images = self._script("test_images.py")

    def _find(self, name: str) -> Path:
        for place in self.places:
            for path in (place / name, place / "manifests" / name):
                if path.is_file():
                    return path
        raise SystemExit(f"{name} is missing; searched {', '.join(map(str, self.places))}.")

    def _script(self, name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(Path(name).stem, self._find(name))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def state_dict(self, config: str, gain: float) -> dict[str, Tensor]:
        """The published state dict of a configuration, filled with the deterministic weights."""
        manifest = json.loads(self._find(f"{config}.json").read_text())
        state = {key: torch.zeros(shape) for key, shape in manifest["parameters"].items()}
        for key, entry in manifest["buffers"].items():
            state[key] = torch.zeros(entry["shape"], dtype=getattr(torch, entry["dtype"]))
            if key.endswith("relative_position_index"):
                state[key] = relative_index(int(entry["shape"][0] ** 0.5))
            elif key.endswith("empty_weight"):
                state[key] = torch.ones(entry["shape"])
                state[key][-1] = 0.1
        return self.weights.fill(state, gain)


def build(state: dict[str, Tensor]) -> tuple[CropFormer, Preset]:
    """The model of a published state dict, with its weights loaded."""
    ours = checkpoints.convert(state)
    preset = PRESETS[checkpoints.fitting_presets(ours)[0]]
    with Unfilled():
        model = CropFormer(preset.config).eval()
    checkpoints.load_strict(model, ours, "the reference")
    return model, preset


@dataclass(frozen=True)
class Stage:
    """A stage of our model, and how its output is compared.

    Attributes:
        values: an array; of large stages a sample.
        key: name of the reference's array in the fixture, and which of its entries along the first axis are meant.
        allowed: the largest difference that is allowed.
        relative: whether differences are divided by the largest value.
    """

    values: np.ndarray
    key: tuple[str, slice | int]
    allowed: float = BEFORE_MASKS
    relative: bool = True

    def difference(self, other: np.ndarray) -> float:
        """The largest difference from another array; infinite if the shapes differ."""
        if self.values.shape != other.shape:
            return float("inf")
        scale = np.abs(other).max() if self.relative else 1.0
        return float(np.abs(self.values - other).max() / scale)


def run(
    model: CropFormer, views: Views, precision: torch.dtype, step: int, noise: int = 0
) -> tuple[dict[str, Stage], Output]:
    """Runs the network stage by stage; returns the stages and the output.

    Args:
        model: the network.
        views: the views of a picture.
        precision: of the computation.
        step: stride of the mask logits that are compared.
        noise: if not 0, the seed of a disturbance of every input value by one rounding to float32.
    """
    pixels = views.pixels.to(precision)
    if noise:
        signs = torch.randint(0, 2, pixels.shape, generator=torch.Generator().manual_seed(noise)) * 2 - 1
        pixels = pixels * (1 + signs * torch.finfo(torch.float32).eps / 2)
    kept: dict[str, Any] = {}  # what these two gave when they were first called; the second time is the batch level
    parts = {"backbone": model.backbone, "decoder": model.decoder}
    hooks = [
        part.register_forward_hook(lambda module, inputs, output, name=name: kept.setdefault(name, output) and None)
        for name, part in parts.items()
    ]
    with torch.inference_mode():
        output = model(pixels[None], views.geometry.frames[None])
    for hook in hooks:
        hook.remove()
    found = {"views": _sample(pixels, "batch")}
    for stage, feature in zip(("res2", "res3", "res4", "res5"), kept["backbone"], strict=True):
        found[f"backbone {stage}"] = _sample(feature, f"backbone_{stage}")
    for index, level in enumerate(output.levels):
        found[f"pixel decoder level {index}"] = _sample(level[0], f"multi_scale_{index}")
    mask_features = output.features[0]
    found["mask features"] = _sample(mask_features, "mask_features")
    suffix = "_2d" if model.association is not None else ""
    found |= _heads("image level", output.image, mask_features[:, None], suffix, step)
    if model.association is not None:
        queries, positions = kept["decoder"][0], model.decoder.query_positions
        found["into association"] = _sample(queries.transpose(0, 1), "decoder2d_output", CLASS_LOGITS)
        with torch.inference_mode():
            associated = model.association.associate(queries[None], positions.expand(1, len(queries), -1, -1))
        found["association"] = Stage(
            _array(associated.transpose(0, 1)), ("association_output", slice(None)), CLASS_LOGITS, relative=False
        )
        found |= _heads("batch level", output.batch, output.features, "_3d", step)
    return found, output


def own_spread(
    model: CropFormer, views: Views, precision: torch.dtype, step: int, stages: dict[str, Stage], runs: int
) -> dict[str, float]:
    """The effect of rounding alone on each stage: the worst of our model in float32, with the input as it is and `runs`
    times with every input value disturbed by one rounding."""
    worst = dict.fromkeys(stages, 0.0)
    model.float()
    for noise in range(runs + 1):
        disturbed, _ = run(model, views, torch.float32, step, noise)
        for name, stage in stages.items():
            worst[name] = max(worst[name], disturbed[name].difference(stage.values))
    model.to(precision)
    return worst


def fuse_official(output: Output, views: Views, preset: Preset) -> Fusion:
    """The authors' inference: every view at batch level for CropFormer, the best `keep` queries for Mask2Former."""
    prediction = (output.batch or output.image)[-1]
    masks = prediction.masks(output.features)[0].float()  # (Q, T, h, w)
    scores = prediction.logits[0].softmax(dim=-1)[:, 0].float()
    if preset.keep is not None and len(scores) > preset.keep:
        best = scores.topk(preset.keep).indices.sort().values
        fusion = fuse(masks[best], scores[best], views.geometry)
        return Fusion(**{**vars(fusion), "queries": best.numpy()[fusion.queries]})
    return fuse(masks, scores, views.geometry.select(fusion_views("boc", masks.shape[1])))


def _heads(level: str, heads: list[Any], features: Tensor, suffix: str, step: int) -> dict[str, Stage]:
    logits = np.stack([_array(head.logits) for head in heads])
    masks = heads[-1].masks(features)
    masks = (masks if suffix == "_3d" else masks[:, :, 0])[..., ::step, ::step]
    first, heads_key, last = (
        (f"aux_pred_logits{suffix}", 0),
        (f"aux_pred_logits{suffix}", slice(1, None)),
        (f"pred_logits{suffix}", slice(None)),
    )
    deep = suffix == "_3d"
    return {
        f"{level}: first head": Stage(logits[0], first, CLASS_LOGITS if deep else BEFORE_MASKS, relative=not deep),
        f"{level}: other heads": Stage(logits[1:-1], heads_key, CLASS_LOGITS, relative=False),
        f"{level}: class logits": Stage(logits[-1], last, CLASS_LOGITS, relative=False),
        f"{level}: mask logits": Stage(
            _array(masks), (f"pred_masks{suffix}_strided", slice(None)), MASK_LOGITS, relative=False
        ),
    }


def _result(fusion: Fusion, fixture: dict[str, np.ndarray]) -> Iterator[Check]:
    worst = np.abs(fusion.class_scores - fixture["result_class_scores"]).max()
    yield Check("class scores", float(worst), SCORES)
    # Compared query by query: the order of queries whose class scores agree within the tolerance is arbitrary.
    ours = dict(zip(fusion.queries.tolist(), fusion.scores.tolist(), strict=True))
    theirs = dict(zip(fixture["result_query_index"].tolist(), fixture["scores"].tolist(), strict=True))
    shared = ours.keys() & theirs.keys()
    yield Check("queries kept", float(len(theirs) - len(shared)), 0)
    yield Check("scores", max(abs(ours[query] - theirs[query]) for query in shared), SCORES)
    names = [np.concatenate(([-1], order)) for order in (fusion.queries, fixture["result_query_index"])]
    differing = names[0][fusion.labels] != names[1][fixture["label_map"]]
    yield Check("label map", float(differing.mean()), PIXELS)


def _instances(found: list[Overlapping], fixture: dict[str, np.ndarray]) -> Iterator[Check]:
    """Compares pair by pair of query and class; pairs that are as good as the last one kept may be others."""
    shape = tuple(fixture["pred_masks_full_shape"])
    masks = np.unpackbits(fixture["pred_masks_packed"], count=int(np.prod(shape))).reshape(shape)
    pairs = list(zip(fixture["topk_query_index"].tolist(), fixture["pred_classes"].tolist(), strict=True))
    theirs = {pair: k for k, pair in enumerate(pairs) if fixture["mask_areas"][k]}
    ours = {(one.query, one.kind): one for one in found}
    shared = ours.keys() & theirs.keys()
    yield Check("pairs kept", (len(theirs) - len(shared)) / len(theirs), 0.02)
    differences = [abs(ours[pair].score - fixture["scores"][theirs[pair]]) for pair in shared]
    yield Check("scores", float(max(differences)), SCORES)
    differing = [(decode_mask(ours[pair].rle) != masks[theirs[pair]]).mean() for pair in shared]
    yield Check("masks", float(max(differing)), PIXELS)


def _sample(values: Tensor, key: str, allowed: float = BEFORE_MASKS) -> Stage:
    """The strided sample of a tensor that the fixtures hold."""
    flat = values.flatten()
    return Stage(_array(flat[:: max(1, len(flat) // 4096)][:4096]), (f"{key}_sample", slice(None)), allowed)


def _array(values: Tensor) -> np.ndarray:
    return values.double().numpy()


def views_of(reference: Reference, preset: Preset, image: str, size: int) -> Views:
    """The views of one of the reference's pictures, as the authors' code makes them."""
    short, longest = reference.images.SIZES[size]
    crops = 4 if preset.config.association else 0
    pixels = reference.images.make(*reference.images.IMAGES[image])
    return make_views(pixels, crops=crops, short=short, longest=longest)


def compare(fixture: dict[str, np.ndarray], reference: Reference, config: str, image: str, size: int, gain: float,
            attention: str = "auto", precision: torch.dtype = torch.float64, runs: int = 0) -> list[Check]:  # fmt: skip
    """All comparisons with a fixture; with `runs`, each stage's own spread is measured, too."""
    state = reference.state_dict(config, gain)
    digest = float(reference.weights.digest(state) != fixture["weights_digest_crc32"][0])
    model, preset = build(state)
    set_attention(model.to(precision), attention)
    views = views_of(reference, preset, image, size)
    checks = [
        Check("weights (crc32)", digest, 0),
        Check("padded size", float(views.pixels.shape != tuple(fixture["padded_batch_shape"])), 0),
    ]
    if "crop_boxes_xyxy" in fixture:
        moved = np.abs(np.array(views.boxes[1:]) - fixture["crop_boxes_xyxy"]).max()
        checks.append(Check("crop boxes", float(moved), 0))
    step = int(fixture["pred_masks_stride"][0])
    stages, output = run(model, views, precision, step)
    spread = own_spread(model, views, precision, step, stages, runs) if runs else {}
    for name, stage in stages.items():
        key, part = stage.key
        checks.append(Check(name, stage.difference(fixture[key][part]), stage.allowed, spread.get(name)))
    if "label_map" in fixture:
        checks += _result(fuse_official(output, views, preset), fixture)
    if "pred_masks_packed" in fixture:
        prediction = output.image[-1]
        masks = prediction.masks(output.features)[0].float()
        class_scores = prediction.logits[0].softmax(dim=-1)[:, :-1].float()
        checks += _instances(overlapping(masks, class_scores, views.geometry, keep=preset.keep), fixture)
    return checks


def own_spreads(
    names: list[str], reference: Reference, arguments: argparse.Namespace
) -> dict[str, dict[str, dict[str, float]]]:
    """Measures and prints how far our model moves on configurations without a fixture, by name and by stage."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    precision = getattr(torch, arguments.precision)
    for name in names:
        match = NAME.fullmatch(name)
        if match is None:
            raise SystemExit(f"{name} is not a name like cropformer_swin_tiny_3x_A_192.")
        model, preset = build(reference.state_dict(match["config"], 1.0 if match["gain"] else 3.0))
        set_attention(model.to(precision), arguments.attention)
        views = views_of(reference, preset, match["image"], int(match["size"]))
        stages, _ = run(model, views, precision, 8)
        spread = own_spread(model, views, precision, 8, stages, arguments.spread or 1)
        found[name] = {}
        print(f"\n{name}, against itself\n  {'stage':32} {'spread':>9} {'allowed':>9}")
        for stage, value in spread.items():
            chaos = "  chaos" if value > stages[stage].allowed else ""
            found[name][stage] = {"spread": value, "allowed": stages[stage].allowed}
            print(f"  {stage:32} {value:9.1e} {stages[stage].allowed:9.1e}{chaos}")
    return found


def main() -> int:
    """Compares all fixtures, or prints the spread of some configurations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with fixtures *.npz")
    parser.add_argument("--only", default="", help="only fixtures whose name contains this")
    parser.add_argument("--attention", default="auto", choices=BACKENDS)
    parser.add_argument("--precision", default="float64", choices=("float64", "float32"))
    parser.add_argument(
        "--spread",
        type=int,
        default=0,
        metavar="N",
        help="also run our model in float32, N times with the input disturbed by one rounding, and print how far each "
        "stage moves; a difference within that is chaos, not a mistake [0]",
    )
    parser.add_argument(
        "--self", nargs="+", dest="own", metavar="NAME", help="only print the spread of these, without fixtures"
    )
    add_out(parser)
    arguments = parser.parse_args()
    reference = Reference(arguments.folder)
    if arguments.own:
        spreads = own_spreads(arguments.own, reference, arguments)
        largest = {name: max(stage["spread"] for stage in own.values()) for name, own in spreads.items()}
        save(arguments.out, "parity_spread", spreads, largest, "largest spread of a stage")
        return 0
    names = [(path, NAME.fullmatch(path.stem)) for path in sorted(arguments.folder.glob("*.npz"))]
    fixtures = [
        (path, match) for path, match in names if match and match["config"] != "views" and arguments.only in path.stem
    ]
    if not fixtures:
        print(f"There are no fixtures in {arguments.folder}.", file=sys.stderr)
        return 2
    found: dict[str, list[Check]] = {}
    for path, match in fixtures:
        print(f"\n{path.stem}\n  {'stage':32} {'worst':>9} {'allowed':>9} {'spread' * bool(arguments.spread):>9}")
        with np.load(path) as archive:
            fixture = dict(archive)
        gain, precision = 1.0 if match["gain"] else 3.0, getattr(torch, arguments.precision)
        where = (match["config"], match["image"], int(match["size"]), gain)
        found[path.stem] = compare(fixture, reference, *where, arguments.attention, precision, arguments.spread)
        for check in found[path.stem]:
            print(check)
    failed = {name: sum(not check.passed for check in checks) for name, checks in found.items()}
    failures = sum(failed.values())
    print(f"\n{len(fixtures)} fixtures, {failures} differences larger than allowed")
    figures = {name: [asdict(check) for check in checks] for name, checks in found.items()}
    passed = {name: len(checks) - failed[name] for name, checks in found.items()}
    bars: Bars = {name: {"passed": passed[name], "failed": failed[name]} for name in found}
    save(arguments.out, "parity", figures, bars, "comparisons")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
