"""Measures AP^e of a model in training on held-out synthetic scenes, with the same views and fusion as for photos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..data.scenes.synth import HELD_OUT, make_scene
from ..entities.entity_map import EntityMap
from ..evaluation.average_precision import average_precision
from ..models.cropformer.fusion import FUSIONS, fuse, fusion_views
from ..models.cropformer.views import make_views
from ..support.errors import NoNumbers

if TYPE_CHECKING:
    from ..models.cropformer.model import Output


@dataclass(frozen=True)
class MeasureConfig:
    """Settings of the measurement.

    Attributes:
        scenes: number of held-out scenes; the first of those reserved for evaluation are used.
        height, width: size of the scenes in pixels.
        short, longest: working size of the views in pixels.
        fusions: see `cropformer.fusion.FUSIONS`; a model without batch level is measured at image level only.
    """

    scenes: int = 32
    height: int = 448
    width: int = 576
    short: int = 256
    longest: int = 448
    fusions: tuple[str, ...] = ("io", "boc")


def measure(
    predict: Callable[[Tensor, Tensor], Output], config: MeasureConfig, device: torch.device, *, stable: bool = False
) -> dict[str, float]:
    """AP and AP50 (fractions) for every fusion, named `AP_boc` and so on.

    Args:
        predict: the model, a function from pixels (1, 5, 3, H, W) and frames (1, 5, 4) to its output.
        config: settings of the measurement.
        device: device for the inputs of `predict`.
        stable: whether query scores are multiplied by the stability of their masks (`Preset.stability`).

    Raises:
        NoNumbers: scores are NaN or infinite.
    """
    found: dict[str, list[EntityMap]] = {fusion: [] for fusion in config.fusions}
    truths = []
    for index in range(config.scenes):
        scene = make_scene(HELD_OUT + index, config.height, config.width)
        views = make_views(scene.image, short=config.short, longest=config.longest)
        with torch.inference_mode():
            output = predict(views.pixels[None].to(device), views.geometry.frames[None].to(device))
        for fusion in config.fusions:
            chosen = fusion_views(fusion, len(views.geometry))
            heads = output.image if FUSIONS[fusion].level == "image" else output.batch
            if not heads:
                continue
            head = heads[-1]  # entry 0 is the full view at image level, and the whole picture at batch level
            features = output.features[0, chosen].float()  # (T, C, h, w)
            masks = torch.einsum("qc,tchw->qthw", head.embeddings[0].float(), features)
            scores = head.logits[0].float().softmax(-1)[:, 0]
            if not scores.isfinite().all():
                raise NoNumbers("scores")
            result = fuse(masks, scores, views.geometry.select(chosen), stable=stable)
            found[fusion].append(EntityMap.from_labels(result.labels, result.scores))
        truths.append(scene.labels)
    figures = {fusion: average_precision(maps, truths) for fusion, maps in found.items() if maps}
    return {f"{name}_{fusion}": values[name] for fusion, values in figures.items() for name in ("AP", "AP50")}
