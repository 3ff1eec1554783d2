"""Default settings of a run of CropFormer, by its preset: for the small model, as published, and for fine-tuning."""

from __future__ import annotations

import dataclasses
import logging
import os

from ..data.augment import FLIPPED, AugmentConfig
from ..models.cropformer.config import PRESETS, CropFormerConfig, Preset
from ..models.layers.efficientnet import EfficientNetConfig
from ..models.layers.hornet import HorNetConfig
from ..models.layers.swin import SwinConfig
from .cropformer import TrainConfig
from .losses import LossConfig
from .measure import MeasureConfig
from .samples import SampleConfig

log = logging.getLogger(__name__)

ITERATIONS = 103_125
"""Length of the published run at 1×; 2×, 3× and 4× are as many times as long (CropFormer, Table 8a)."""
DECAYS = (91_575 / ITERATIONS, 99_414 / ITERATIONS)
BATCH = 16
"""Pictures per step of the published run, on all devices together."""
_DROP_PATH: dict[type, float] = {SwinConfig: 0.3, HorNetConfig: 0.6}  # of the authors' configurations
FEW = 2000
"""Below this number of photos, a run with `--init` fine-tunes by default."""


def settings_for(preset: str) -> TrainConfig:
    """The default settings for a preset: those of the published run for models of its size, else the small model's.

    >>> settings_for("cropformer-swin-tiny").steps, settings_for("cropformer-nano").steps
    (103125, 20000)
    """
    if preset not in PRESETS or is_small(PRESETS[preset].config):
        return TrainConfig(preset=preset)
    return _published(preset)


def is_small(config: CropFormerConfig) -> bool:
    """Whether a model is narrower than all published ones.

    >>> is_small(PRESETS["cropformer-nano"].config), is_small(PRESETS["mask2former-swin-tiny"].config)
    (True, False)
    """
    return config.width < CropFormerConfig.width


def _published(preset: str) -> TrainConfig:
    """The published run (CropFormer Sec. 4; Table IV of the paper that introduces GELLA); see docs/recipes."""
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    return TrainConfig(
        preset=preset,
        steps=ITERATIONS,
        optimizer="adamw",
        lr=2e-4,
        backbone_lr=0.1,
        weight_decay=0.05,
        warmup=0,
        cooldown=0.0,
        milestones=DECAYS,
        clip=0.01,
        ema=0.0,
        workers=4,
        checkpoint_minutes=30,
        measure_steps=5000,
        samples=SampleConfig(
            batch=max(1, BATCH // devices),
            short=(640, 672, 704, 736, 768, 800),
            longest=1333,
            photo_share=1.0,
            augment=FLIPPED,
            paste_share=0.0,
            crops="fixed-4" if PRESETS[preset].config.association else "none",
            crop_ratio=0.7,
        ),
        loss=LossConfig(),
        drop_path=_DROP_PATH.get(type(PRESETS[preset].config.backbone), 0.0),
        categories=0.0,
        mask_piloted=False,
        measure=_measured(PRESETS[preset]),
    )


def _measured(preset: Preset) -> MeasureConfig:
    return MeasureConfig(short=preset.size, longest=preset.max_size)


def crops_help(config: TrainConfig) -> bool:
    """Whether the model is normally used with crops, so that the batch level decides how good it is."""
    return config.architecture.association and PRESETS[config.preset].crops > 0


def fine_tuning(config: TrainConfig, photos: int, steps: int | None = None, *, hold_out: bool = True) -> TrainConfig:
    """Settings for continuing from weights on a few photos: a short run, a low rate, and the first stages frozen.

    A fifth of the photos, or 50 if these are fewer, is held out and measured, and the best weights are kept.

    Args:
        config: settings of the preset, with the folders of photos.
        photos: number of photos.
        steps: length of the run; None: 20 times all photos, but at least 60 and at most 3000 steps.
        hold_out: whether to hold photos out; if not, the run measures on others.

    >>> run = fine_tuning(settings_for("cropformer-nano"), 100)
    >>> run.steps, run.lr, run.samples.held_out, run.keep_best
    (1000, 5e-05, 0.2, 'AP_io')
    """
    preset = PRESETS[config.preset]
    small = is_small(preset.config)
    batch_level = crops_help(config)
    batch = 2
    steps = steps or min(max(60, 20 * photos // batch), 3000)
    held_out = min(0.2, MeasureConfig.photo_limit / max(1, photos)) if hold_out else 0.0
    measured = f", of which {100 * held_out:.0f} % are held out and measured" if hold_out else ""
    log.info("Fine-tuning on %d photos%s.", photos, measured)
    return dataclasses.replace(
        config,
        steps=steps,
        lr=5e-5 if small else 2e-5,
        backbone_lr=0.1,
        warmup=min(50, steps // 5),
        cooldown=0.8,
        milestones=(),
        ema=0.99,
        batch_level=batch_level,
        mask_piloted=False,
        categories=0.0,
        drop_path=0.0,
        frozen_stages=5 if isinstance(config.architecture.backbone, EfficientNetConfig) else 2,
        workers=1,
        checkpoint_minutes=10,
        measure_steps=-(-steps // 5),
        keep_best="AP_boc" if batch_level else "AP_io",
        samples=dataclasses.replace(
            config.samples,
            batch=batch,
            short=tuple(preset.size * tenths // 10 for tenths in (6, 7, 8, 9, 10)),
            longest=preset.max_size,
            photo_share=1.0,
            held_out=held_out,
            augment=AugmentConfig(area=(0.5, 1.0), aspect=(0.85, 1.18), degraded=0.2),
            paste_share=0.0,
        ),
        measure=dataclasses.replace(_measured(preset), fusions=("boc",) if batch_level else ("io",)),
    )
