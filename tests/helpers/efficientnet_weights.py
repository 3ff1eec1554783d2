"""Random weights of an EfficientNet-Lite as they are published."""

from __future__ import annotations

import torch
from torch import Tensor

from esg.models.layers.efficientnet import EfficientNetConfig


def published(config: EfficientNetConfig) -> dict[str, Tensor]:
    """Random weights under the names of `efficientnet_lite_pytorch`, batch norm and all."""
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, Tensor] = {}

    def conv(name: str, norm: str, *shape: int) -> None:
        weights[f"{name}.weight"] = torch.randn(*shape, generator=generator) * 0.4
        for part in ("weight", "bias", "running_mean"):
            weights[f"{norm}.{part}"] = torch.randn(shape[0], generator=generator) * 0.2 + (part == "weight")
        weights[f"{norm}.running_var"] = torch.rand(shape[0], generator=generator) + 0.5

    conv("_conv_stem", "_bn0", config.stem, 3, 3, 3)
    inputs, number = config.stem, 0
    for stage, (outputs, repeats) in enumerate(zip(config.outputs, config.repeats)):
        kernel, expansion = (3, 3, 5, 3, 5, 5, 3)[stage], 1 if stage == 0 else 6
        for _ in range(repeats):
            block, hidden = f"_blocks.{number}.", inputs * expansion
            if expansion > 1:
                conv(f"{block}_expand_conv", f"{block}_bn0", hidden, inputs, 1, 1)
            conv(f"{block}_depthwise_conv", f"{block}_bn1", hidden, 1, kernel, kernel)
            conv(f"{block}_project_conv", f"{block}_bn2", outputs, hidden, 1, 1)
            inputs, number = outputs, number + 1
    weights["_fc.bias"] = torch.zeros(10)  # the classifier is left out
    return weights
