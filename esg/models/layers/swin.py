"""Swin Transformer backbone (Liu et al., ICCV 2021): shifted-window attention, features at strides 4, 8, 16, 32."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...support.errors import InputError
from .attention import Attend
from .drop_path import DropPath
from .linear import Linear, Mlp


@dataclass(frozen=True)
class SwinConfig:
    """Sizes of a Swin Transformer; channels double at every stage.

    `stem` is None for the published patch embedding, one 4×4 convolution. A number replaces it by two 3×3 convolutions
    of stride 2 with that many channels between them: small models learn edges sooner this way (Xiao et al., NeurIPS
    2021). `local` adds a residual 3×3 depthwise convolution at the start of every block (Chu et al., ICLR 2023), for
    the same reason.
    """

    width: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    stem: int | None = None
    local: bool = False

    def __post_init__(self) -> None:
        if self.width < 1 or any(width % heads for width, heads in zip(self.channels, self.heads)):
            raise InputError(f"The width of a Swin must be a multiple of its {self.heads[0]} heads, not {self.width}.")

    @property
    def channels(self) -> tuple[int, ...]:
        return tuple(self.width * 2**stage for stage in range(len(self.depths)))

    def build(self) -> Swin:
        return Swin(self)


def _to_windows(x: Tensor, window: int) -> Tensor:
    """(B, H, W, C) with H, W multiples of the window → (B·windows, window², C)."""
    batch, height, width, channels = x.shape
    x = x.view(batch, height // window, window, width // window, window, channels)
    return x.transpose(2, 3).reshape(-1, window * window, channels)


def _from_windows(x: Tensor, window: int, height: int, width: int) -> Tensor:
    """Inverse of `_to_windows` → (B, H, W, C)."""
    x = x.view(-1, height // window, width // window, window, window, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, height, width, x.shape[-1])


def relative_index(window: int) -> Tensor:
    """Row of the bias table for every pair of positions in a window → (window², window²) int64."""
    grid = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
    dy, dx = grid[:, :, None] - grid[:, None, :] + window - 1
    return dy * (2 * window - 1) + dx


def _shift_mask(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    """Additive mask: the cyclic shift must not make distant pixels neighbours → (windows, 1, window², window²)."""
    bands = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    region = torch.zeros(1, height, width, 1, device=device)
    for row, ys in enumerate(bands):
        for column, xs in enumerate(bands):
            region[:, ys, xs] = 3 * row + column
    region = _to_windows(region, window).squeeze(-1)  # (windows, window²)
    return torch.where(region[:, None, :] == region[:, :, None], 0.0, -100.0)[:, None]


class WindowAttention(nn.Module):
    """Multi-head self-attention inside windows, with a learned bias for every relative position."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        self.qkv = Linear(channels, 3 * channels)
        self.proj = Linear(channels, channels)
        self.attend = Attend()
        nn.init.trunc_normal_(self.bias_table, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Attention from x (B·windows, window², C), mask (windows, 1, window², window²) → (B·windows, window², C)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B·windows, heads, N, d)
        bias = self.bias_table[relative_index(self.window)].permute(2, 0, 1)[None]  # (1, heads, N, N)
        if mask is not None:
            bias = (bias + mask).repeat(len(x) // len(mask), 1, 1, 1)
        return self.proj(self.attend(q, k, v, bias).transpose(1, 2).flatten(2))


class SwinBlock(nn.Module):
    """Window attention (shifted or not), then an MLP, both residual."""

    def __init__(self, channels: int, heads: int, window: int, shift: int, *, local: bool = False) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.local = nn.Conv2d(channels, channels, 3, padding=1, groups=channels) if local else None
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, 4 * channels)
        self.drop_path = DropPath()

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Block output for x (B, H, W, C); mask, for shifted blocks, has the size padded to whole windows."""
        height, width = x.shape[1:3]
        if self.local is not None:
            x = x + self.local(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        padded = F.pad(self.norm1(x), (0, 0, 0, -width % self.window, 0, -height % self.window))
        if self.shift:
            padded = padded.roll((-self.shift, -self.shift), dims=(1, 2))
        windows = self.attention(_to_windows(padded, self.window), mask if self.shift else None)
        attended = _from_windows(windows, self.window, *padded.shape[1:3])
        if self.shift:
            attended = attended.roll((self.shift, self.shift), dims=(1, 2))
        x = x + self.drop_path(attended[:, :height, :width])
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchMerging(nn.Module):
    """Halves height and width, doubles the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) → (B, ⌈H/2⌉, ⌈W/2⌉, 2C)."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        corners = (x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2])
        return self.reduction(self.norm(torch.cat(corners, dim=-1)))


class SwinStage(nn.Module):
    """Blocks of one resolution, alternately plain and shifted."""

    def __init__(self, channels: int, depth: int, heads: int, window: int, *, local: bool = False) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(
            SwinBlock(channels, heads, window, shift=window // 2 if index % 2 else 0, local=local)
            for index in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        height, width = (side + -side % self.window for side in x.shape[1:3])
        mask = _shift_mask(height, width, self.window, self.window // 2, x.device)
        for block in self.blocks:
            x = block(x, mask)
        return x


class Swin(nn.Module):
    """(N, 3, H, W) → four feature maps (N, C·2^i, H/4/2^i, W/4/2^i), each through its own LayerNorm."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.channels = config.channels
        self.patch_embed = _patch_embedding(config)
        self.patch_norm = nn.LayerNorm(config.width)
        self.stages = nn.ModuleList(
            SwinStage(channels, depth, heads, config.window, local=config.local)
            for channels, depth, heads in zip(config.channels, config.depths, config.heads)
        )
        self.mergings = nn.ModuleList(PatchMerging(channels) for channels in config.channels[:-1])
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in config.channels)
        self.apply(_initialise)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        pixels = F.pad(pixels, (0, -pixels.shape[3] % 4, 0, -pixels.shape[2] % 4))
        x = self.patch_norm(self.patch_embed(pixels).permute(0, 2, 3, 1))  # (N, H/4, W/4, C)
        features = []
        for index, (stage, norm) in enumerate(zip(self.stages, self.norms)):
            if index:
                x = self.mergings[index - 1](x)
            x = stage(x)
            features.append(norm(x).permute(0, 3, 1, 2))
        return features


def _patch_embedding(config: SwinConfig) -> nn.Module:
    """(N, 3, H, W) → (N, C, H/4, W/4)."""
    if config.stem is None:
        return nn.Conv2d(3, config.width, kernel_size=4, stride=4)
    return nn.Sequential(
        nn.Conv2d(3, config.stem, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(config.stem, config.width, 3, stride=2, padding=1),
    )


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
