"""Gives a trained CropFormer another EfficientNet-Lite backbone, and fits the layers that read its features.

    python tools/change_backbone.py before.safetensors --backbone efficientnet-lite2 --out start.safetensors \
        --photos ../shared/data/coco_panoptic/train/images ../shared/data/bsds500/train/images

These layers, four projections and the position codes, are chosen by least squares on the photos, so that the rest of
the network receives nearly the same input as before. Then train the new model with `esg train cropformer --init`.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from esg.models.cropformer.model import CropFormer
from esg.models.cropformer.views import PIXEL_MEAN, PIXEL_STD
from esg.models.layers.efficientnet import LITE2, EfficientNetConfig, load_efficientnet
from esg.pictures.listing import list_images
from esg.pictures.reading import read_image
from esg.training.imagenet import imagenet_weights
from esg.weights.loading import load_segmenter

BACKBONES = {"efficientnet-lite0": EfficientNetConfig(), "efficientnet-lite2": LITE2}
SIDES = (224, 256, 288, 320, 352)
PLACES = 800  # of each map and photo
RIDGE = 1e-3  # relative to the mean square of the features


def change_backbone(
    old: CropFormer, config: EfficientNetConfig, weights: dict[str, Tensor], photos: Iterable[Tensor]
) -> CropFormer:
    """A copy of a model with another backbone.

    Args:
        old: a CropFormer.
        config, weights: the new backbone and its ImageNet weights, see `load_efficientnet`.
        photos: (1, 3, H, W) normalised, H and W multiples of 32.
    """
    new = CropFormer(dataclasses.replace(old.config, backbone=config)).eval()
    load_efficientnet(new.backbone, weights, PIXEL_MEAN, PIXEL_STD)
    own = new.state_dict()
    kept = {
        name: value
        for name, value in old.state_dict().items()
        if not name.startswith("backbone.") and own[name].shape == value.shape
    }
    new.load_state_dict(kept, strict=False)
    pairs = list(zip(_readers(new), _readers(old), strict=True))
    with torch.no_grad():
        for (layer, _), (weight, bias) in zip(pairs, _fitted(new, old, photos), strict=True):
            layer.weight.copy_(weight[:, :, None, None])
            if layer.bias is not None:
                layer.bias.copy_(bias)
        if new.whereabouts is not None and old.whereabouts is not None:
            codes = zip(new.whereabouts.projections, old.whereabouts.projections, strict=True)
            for (layer, before), (code, code_before) in zip(pairs, codes, strict=True):
                # A code is added to the features, so it must have the same effect behind the projection.
                to_features = torch.linalg.pinv(layer.weight[:, :, 0, 0].double(), rtol=1e-2)
                effect = to_features @ before.weight[:, :, 0, 0].double()
                code.weight.copy_(effect @ code_before.weight.double())
                code.bias.copy_(effect @ code_before.bias.double())
    return new


def _readers(model: CropFormer) -> list[nn.Conv2d]:
    """The 1×1 convolutions that read the features of the backbone, strides 4 to 32."""
    decoder = model.pixel_decoder
    return [decoder.lateral.conv, *(projection[0] for projection in reversed(decoder.input_projs))]


@torch.inference_mode()
def _fitted(new: CropFormer, old: CropFormer, photos: Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Weight (outputs, inputs) and bias of each reader with which new features give nearly the old results."""
    generator = torch.Generator().manual_seed(0)
    products: list[tuple[Tensor, Tensor]] = []
    for photo in photos:
        sums = []
        for features, before, reader in zip(new.backbone(photo), old.backbone(photo), _readers(old), strict=True):
            inputs, results = (x.flatten(2)[0].T.double() for x in (features, reader(before)))
            places = torch.randperm(len(inputs), generator=generator)[:PLACES]
            inputs = torch.cat([inputs[places], torch.ones(len(places), 1, dtype=torch.float64)], dim=1)
            sums.append((inputs.T @ inputs, inputs.T @ results[places]))
        products = [(a + b, c + d) for (a, c), (b, d) in zip(products, sums, strict=True)] if products else sums
    fitted = []
    for squares, mixed in products:
        ridge = RIDGE * squares.diagonal().mean() * torch.eye(len(squares), dtype=torch.float64)
        solution = torch.linalg.solve(squares + ridge, mixed)
        fitted.append((solution[:-1].T.float(), solution[-1].float()))
    return fitted


def normalised(paths: Iterable[Path], seed: int = 0) -> Iterable[Tensor]:
    """Photos, each resized to random sides from `SIDES`, (1, 3, H, W)."""
    sides = random.Random(seed)
    for path in paths:
        pixels = torch.from_numpy(read_image(path)).permute(2, 0, 1)[None].float()
        size = (sides.choice(SIDES), sides.choice(SIDES))
        pixels = nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)
        yield (pixels - torch.tensor(PIXEL_MEAN)[:, None, None]) / torch.tensor(PIXEL_STD)[:, None, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="weights of a CropFormer with an EfficientNet-Lite backbone")
    parser.add_argument("--backbone", choices=BACKBONES, default="efficientnet-lite2")
    parser.add_argument("--photos", nargs="+", type=Path, required=True, help="photos, or folders of them")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    old, _, name = load_segmenter(arguments.model)
    paths = [photo.path for photo in list_images(arguments.photos)[0]]
    weights = imagenet_weights(arguments.backbone)
    new = change_backbone(old.eval(), BACKBONES[arguments.backbone], weights, normalised(paths))
    state = {key: value.half().contiguous() for key, value in new.state_dict().items()}
    save_file(state, arguments.out, {"format": "pt", "preset": name, "config": new.config.to_json()})


if __name__ == "__main__":
    main()
