"""Backbones that read the colormap (paper Sec. 4.2, f_Υ, Eq. 8; Table XVI): features at strides 4, 8, 16, 32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ..layers.swin import Swin, SwinConfig

_LAST_AT_STRIDE = (1, 4, 11, 15)  # the last of MobileNetV2's inverted residual blocks at strides 4, 8, 16, 32


class MobileNetV2(nn.Module):
    """MobileNetV2 (Sandler et al., CVPR 2018) as transformers has it, without its classifier: 2.2 M parameters.

    Its last 1×1 convolution is unused; it is kept so that published weights fit.

    Args:
        scale: factor for the number of channels.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        from transformers import MobileNetV2Config, MobileNetV2Model

        self.net = MobileNetV2Model(MobileNetV2Config(depth_multiplier=scale), add_pooling_layer=False)
        self.net.conv_1x1.requires_grad_(False)
        for module in self.net.modules():
            if isinstance(module, nn.BatchNorm2d):
                # transformers uses TensorFlow's 0.997, which PyTorch reads as "forget all but the last batch".
                module.momentum = 0.1
        blocks: list[Any] = [self.net.layer[index] for index in _LAST_AT_STRIDE]
        self.channels: tuple[int, ...] = tuple(block.reduce_1x1.convolution.out_channels for block in blocks)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """(N, 3, H, W), -1..1 → feature maps, finest first, (N, C_s, ⌈H/s⌉, ⌈W/s⌉) at the strides s."""
        x = self.net.conv_stem(pixels)
        features = []
        for index, block in enumerate(self.net.layer):
            x = block(x)
            if index in _LAST_AT_STRIDE:
                features.append(x)
        return features


def _swin_large(scale: float) -> Swin:
    return SwinConfig(width=round(192 * scale), depths=(2, 2, 18, 2), heads=(6, 12, 24, 48)).build()


ENCODERS: dict[str, Callable[[float], MobileNetV2 | Swin]] = {
    "mobilenet-v2": MobileNetV2,
    "swin-tiny": lambda scale: SwinConfig(width=round(96 * scale)).build(),
    "swin-large": _swin_large,
}
"""The backbones of Table XVI (a), from a factor for their number of channels."""
