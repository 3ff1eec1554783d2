"""A process of several that train a tiny GELLA; `test_devices` starts them.

python several.py RUN_DIR STEPS ddp|fsdp CHANGES.json
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import torch

from esg.gella.config import PRESETS, DecoderConfig, GellaConfig, LanguageConfig, VisionConfig
from esg.training import loop
from esg.training.gella import GellaTask, GellaTrainConfig
from esg.training.losses import LossConfig
from esg.training.narratives import NarrativeConfig
from esg.training.vocabulary import run_tokenizer

TINY = GellaConfig(
    vision=VisionConfig(width=32, ffn=48, layers=2, heads=2, side=16, patch=4),
    language=LanguageConfig(
        vocabulary=300, width=32, ffn=40, layers=2, heads=2, context=1500, image_token=3, pad_token=0, seg_token=4
    ),
    decoder=DecoderConfig(
        width=32, heads=2, queries=6, layers=1, ffn=32, encoder_layers=1, encoder_ffn=32, points=1, anchors=4
    ),
    encoder_scale=0.1,
    colormap_side=64,
    association=16,
)
RUN = GellaTrainConfig(
    preset="tiny",
    samples=NarrativeConfig(batch=1, texts=2, sides=(48, 64)),
    loss=LossConfig(points=64),
    warmup=1,
    cooldown=0.0,
    precision="fp32",
    workers=0,
    measure_steps=0,
)
UNITS = ["LlamaDecoderLayer", "CLIPEncoderLayer"]


def join_on_cpu(partial: bool) -> Any:
    """What accelerate does with a configuration for FSDP, which it only heeds where there are GPUs."""
    from accelerate import FullyShardedDataParallelPlugin
    from accelerate.utils import DistributedType

    accelerator = join(partial)
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", transformer_cls_names_to_wrap=UNITS
    )
    accelerator.state._shared_state.update(distributed_type=DistributedType.FSDP, fsdp_plugin=plugin)
    return accelerator


join: Any = loop.join


def main() -> None:
    torch.set_num_threads(1)
    PRESETS["tiny"] = TINY
    folder, steps, kind, changes = sys.argv[1:]
    if kind == "fsdp":
        loop.join = join_on_cpu
    config = dataclasses.replace(RUN, steps=int(steps), **json.loads(changes))
    loop.train(GellaTask(config, run_tokenizer(config, Path(folder))), folder)


if __name__ == "__main__":
    main()
