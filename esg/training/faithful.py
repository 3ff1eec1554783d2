"""GELLA as the paper writes it, as one switch: everything that a run otherwise does differently is set as in the paper.

`docs/recipes/README.md` names the deviations that remain, with their reasons.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from .gella import GellaTrainConfig
from .losses import LossConfig

PUBLISHED = ("gella-7b", "gella-13b")
"""The presets of the paper's size, which also get its schedule."""

_MODEL: dict[str, Any] = {
    "blend": {  # Eq. 14 and 15
        "self_attention": True,
        "cross_attention": True,
        "ffn": True,
        "residual": True,
        "conv": True,
        "skip": False,
    },
    "decoder": {"anchors": None},  # Mask2Former's, "without modifications"
    "encoder": "mobilenet-v2",
    "colours": "random",
    "gap": 0.0,
    "projection": "linear",  # Eq. 10
    "association_layers": 1,
    "words": False,
    "drafts": 1,
    "mends": False,
}
_SAMPLES: dict[str, Any] = {
    "texts": 1,
    "tasks": (0.2, 0.2, 0.6),
    "photo_share": 1.0,  # without photos, there are only scenes
    "referring": 0.0,
    "augment": False,
    "wordings": True,
    "mask_noise": 0.0,
    "segmenter": None,
    "masks": None,
}
_LOSSES: dict[str, Any] = {  # "uniform", and points as in Mask2Former
    "loss": LossConfig(ce=1.0, bce=1.0, dice=1.0),
    "association": 1.0,
    "all_queries": True,
    "auxiliary": 0.0,
    "lora": 0,
    "heads_pictures": 0,
    "encoder_norms": "synchronised",
}
_SCHEDULE: dict[str, Any] = {  # 50 epochs of 41,813 pictures; a tenth of the rate after epochs 46 and 48
    "steps": 130_700,
    "optimizer": "adamw",
    "lr": 1e-5,
    "weight_decay": 0.01,
    "warmup": 0,
    "cooldown": 0.0,
    "milestones": (0.92, 0.96),
    "clip": 1.0,
    "ema": 0.0,
    "precision": "bf16",
    "workers": 8,
    "checkpoint_minutes": 60.0,
    "checkpoint_steps": 5000,
    "measure_steps": 0,
    "gradient_checkpointing": True,
}
_OF_EIGHT: dict[str, Any] = {"batch": 2, "sides": (320, 640)}  # 16 pictures on 8 devices


def faithful(config: GellaTrainConfig) -> GellaTrainConfig:
    """The settings with everything as in the paper; for presets of the paper's size, the schedule as well.

    Other presets keep their sizes, schedule and vision tower.

    Raises:
        InputError: the preset does not exist.
    """
    published = config.preset in PUBLISHED
    side = config.architecture.vision.side  # the colormap is as large as the image (Sec. 4.2)
    model = {**config.model, **_MODEL, "colormap_side": side}
    model["decoder"] = {**config.model.get("decoder", {}), **_MODEL["decoder"]}
    samples = dataclasses.replace(config.samples, **_SAMPLES, **(_OF_EIGHT if published else {}))
    schedule = _SCHEDULE if published else {}
    return dataclasses.replace(config, model=model, samples=samples, **_LOSSES, **schedule)
