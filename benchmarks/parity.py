"""Checks that our code computes the same as the authors' code.

    python -m benchmarks.parity DIR

builds every model that has a fixture `<config>_<image>_<128|192>[_qk1].npz` in DIR with the deterministic weights of
the reference, compares stage by stage, prints the worst difference next to the allowed one, and exits with 1 if any
difference is too large. Scripts and manifests of the reference are taken from DIR, its parents, or
`../shared/reference`.

Ours is computed in double precision by default. The deterministic weights make the decoders chaotic: if a bit of an
attention mask flips because its logit is within single-precision rounding of zero, later heads change by 1e-1. In
double precision, only the reference's own rounding remains; `--precision float32` shows that of both sides.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
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
from esg.models.layers.attention import BACKENDS, set_attention
from esg.models.layers.swin import relative_index

NAME = re.compile(r"(?P<config>.+)_(?P<image>[A-Z])_(?P<size>128|192)(?P<gain>_qk1)?")
BEFORE_MASKS = 2e-5  # relative, up to the mask features and the first prediction heads
CLASS_LOGITS = 3e-3  # absolute, twice the difference between two runs of the authors' code
MASK_LOGITS = 1.4e-2
SCORES = 2e-3  # absolute; a score is at most 0.731, and its derivative by the class logit at most a quarter of that
PIXELS = 1e-3  # share of label map pixels that may differ


@dataclass(frozen=True)
class Check:
    """One comparison: the worst difference found and the one allowed."""

    stage: str
    difference: float
    allowed: float

    @property
    def passed(self) -> bool:
        return self.difference <= self.allowed  # False for NaN


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
    model = CropFormer(preset.config).eval()
    checkpoints.load_strict(model, ours, "the reference")
    return model, preset


def compare(fixture: dict[str, np.ndarray], reference: Reference, config: str, image: str, size: int, gain: float,
            attention: str = "auto", precision: torch.dtype = torch.float64) -> Iterator[Check]:  # fmt: skip
    """Runs one fixture stage by stage."""
    state = reference.state_dict(config, gain)
    yield Check("weights (crc32)", float(reference.weights.digest(state) != fixture["weights_digest_crc32"][0]), 0)
    model, preset = build(state)
    model.to(precision)
    set_attention(model, attention)
    short, longest = reference.images.SIZES[size]
    crops = 4 if preset.config.association else 0
    views = make_views(
        reference.images.make(*reference.images.IMAGES[image]), crops=crops, short=short, longest=longest
    )
    yield Check("padded size", float(views.pixels.shape != tuple(fixture["padded_batch_shape"])), 0)
    if "crop_boxes_xyxy" in fixture:
        yield Check("crop boxes", float(np.abs(np.array(views.boxes[1:]) - fixture["crop_boxes_xyxy"]).max()), 0)
    yield _sampled("views", views.pixels, fixture, "batch")
    with torch.inference_mode():
        pixels = views.pixels.to(precision)
        features = model.backbone(pixels)
        for stage, feature in zip(("res2", "res3", "res4", "res5"), features, strict=True):
            yield _sampled(f"backbone {stage}", feature, fixture, f"backbone_{stage}")
        levels, mask_features = model.pixel_decoder(features)
        for index, level in enumerate(levels):
            yield _sampled(f"pixel decoder level {index}", level, fixture, f"multi_scale_{index}")
        yield _sampled("mask features", mask_features, fixture, "mask_features")
        groups = [level[:, None] for level in levels]
        learned, _ = model.decoder.begin(groups, mask_features[:, None])
        queries, image_heads = model.decoder(groups, mask_features[:, None], learned)
        suffix = "_2d" if model.association is not None else ""
        yield from _heads("image level", image_heads, mask_features[:, None], fixture, suffix)
        if model.association is not None:
            yield _sampled("into association", queries.transpose(0, 1), fixture, "decoder2d_output", CLASS_LOGITS)
            associated = model.association.associate(queries[None], learned.positions[None])
            yield _worst("association", associated.transpose(0, 1), fixture["association_output"], CLASS_LOGITS)
        output = model(pixels[None], views.geometry.frames[None])
        if output.batch:
            yield from _heads("batch level", output.batch, output.features, fixture, "_3d")
    if "label_map" in fixture:
        yield from _result(fuse_official(output, views, preset), fixture)
    if "pred_masks_packed" in fixture:
        prediction = output.image[-1]
        masks = prediction.masks(output.features)[0].float()
        class_scores = prediction.logits[0].softmax(dim=-1)[:, :-1].float()
        yield from _instances(overlapping(masks, class_scores, views.geometry, keep=preset.keep), fixture)


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


def _heads(
    level: str, heads: list[Any], features: Tensor, fixture: dict[str, np.ndarray], suffix: str
) -> Iterator[Check]:
    logits = np.stack([head.logits.numpy() for head in heads])
    yield _worst(f"{level}: first head", logits[0], fixture[f"aux_pred_logits{suffix}"][0],
                 CLASS_LOGITS if suffix == "_3d" else BEFORE_MASKS, relative=suffix != "_3d")  # fmt: skip
    yield _worst(f"{level}: other heads", logits[1:-1], fixture[f"aux_pred_logits{suffix}"][1:], CLASS_LOGITS)
    yield _worst(f"{level}: class logits", logits[-1], fixture[f"pred_logits{suffix}"], CLASS_LOGITS)
    step = int(fixture["pred_masks_stride"][0])
    masks = heads[-1].masks(features)
    ours = (masks if suffix == "_3d" else masks[:, :, 0])[..., ::step, ::step]
    yield _worst(f"{level}: mask logits", ours, fixture[f"pred_masks{suffix}_strided"], MASK_LOGITS)


def _result(fusion: Fusion, fixture: dict[str, np.ndarray]) -> Iterator[Check]:
    yield _worst("class scores", fusion.class_scores, fixture["result_class_scores"], SCORES)
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
    yield Check("scores", max(abs(ours[pair].score - fixture["scores"][theirs[pair]]) for pair in shared), SCORES)
    differing = [(decode_mask(ours[pair].rle) != masks[theirs[pair]]).mean() for pair in shared]
    yield Check("masks", float(max(differing)), PIXELS)


def _sampled(
    stage: str, ours: Tensor, fixture: dict[str, np.ndarray], key: str, allowed: float = BEFORE_MASKS
) -> Check:
    """Compares the strided sample of a tensor, relative to the tensor's largest value."""
    flat = ours.flatten()
    sample = flat[:: max(1, len(flat) // 4096)][:4096]
    return _worst(stage, sample, fixture[f"{key}_sample"], allowed, relative=True)


def _worst(stage: str, ours: Any, theirs: np.ndarray, allowed: float, relative: bool = False) -> Check:
    ours = np.asarray(ours, dtype=np.float64)
    if ours.shape != theirs.shape:
        return Check(f"{stage} (shape {ours.shape}, not {theirs.shape})", float("inf"), allowed)
    scale = np.abs(theirs).max() if relative else 1.0
    return Check(stage, float(np.abs(ours - theirs).max() / scale), allowed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with fixtures *.npz")
    parser.add_argument("--only", default="", help="only fixtures whose name contains this")
    parser.add_argument("--attention", default="auto", choices=BACKENDS)
    parser.add_argument("--precision", default="float64", choices=("float64", "float32"))
    arguments = parser.parse_args()
    precision = getattr(torch, arguments.precision)
    names = [(path, NAME.fullmatch(path.stem)) for path in sorted(arguments.folder.glob("*.npz"))]
    fixtures = [
        (path, match) for path, match in names if match and match["config"] != "views" and arguments.only in path.stem
    ]
    if not fixtures:
        print(f"There are no fixtures in {arguments.folder}.", file=sys.stderr)
        return 2
    reference, failures = Reference(arguments.folder), 0
    for path, match in fixtures:
        print(f"\n{path.stem}\n  {'stage':32} {'worst':>9} {'allowed':>9}")
        with np.load(path) as archive:
            fixture = dict(archive)
        gain = 1.0 if match["gain"] else 3.0
        for check in compare(
            fixture,
            reference,
            match["config"],
            match["image"],
            int(match["size"]),
            gain,
            arguments.attention,
            precision,
        ):
            failures += not check.passed
            print(
                f"  {check.stage:32} {check.difference:9.1e} {check.allowed:9.1e}{'' if check.passed else '  FAILED'}"
            )
    print(f"\n{len(fixtures)} fixtures, {failures} differences larger than allowed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
