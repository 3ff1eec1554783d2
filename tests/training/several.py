"""A process of several that train a tiny GELLA; `test_devices` starts them.

python several.py RUN_DIR STEPS ddp|fsdp CHANGES.json, with the model's architecture in $ESG_TEST_GELLA
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from esg.training import loop, training_run
from esg.training.gella import GellaTask, GellaTrainConfig
from esg.training.losses import LossConfig
from esg.training.narratives import NarrativeConfig
from esg.training.run_tokenizer import run_tokenizer

RUN = GellaTrainConfig(
    model=json.loads(os.environ["ESG_TEST_GELLA"]),
    samples=NarrativeConfig(batch=1, texts=2, sides=(48, 64), seed=15),  # whose second step is of language alone
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


join: Any = training_run.join


def main() -> None:
    torch.set_num_threads(1)
    folder, steps, kind, changes = sys.argv[1:]
    if kind == "fsdp":
        training_run.join = join_on_cpu
    config = dataclasses.replace(RUN, steps=int(steps), **json.loads(changes))
    loop.train(GellaTask(config, run_tokenizer(config, Path(folder))), folder)


if __name__ == "__main__":
    main()
