"""Alternatives to GELLA's colormap (Tables XIX and XX): entity embeddings straight from masks and image features.

None of them has a colormap encoder, ResoBlend or a mask decoder. To fit into the rest of GELLA, each finds the masks by
their colours in the colormap; a "query" is the region of one colour, and reconstructs exactly that region.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esg.models.gella.appearance import mask_pooled
from esg.models.gella.colormap_encoder import MobileNetV2
from esg.models.gella.config import GellaConfig
from esg.models.gella.model import Gella, Reconstruction
from esg.models.layers.attention import MultiheadAttention
from esg.models.layers.mask_decoder import Prediction

CERTAIN = 10.0  # logit of a known mask
_BINS = 4  # rows and columns of the features of a box
_SAMPLES = 2  # sampling points per bin, in each direction
_MASK_SIDE = 96  # pixels; binary masks are encoded at this size
_WEIGHT = 8.0  # of a mask that is added to attention scores


class EntityFeatures(Gella, ABC):
    """A GELLA whose entity embeddings come from `embedded`."""

    def __init__(self, config: GellaConfig) -> None:
        super().__init__(config)
        del self.colormap, self.blend, self.pixel_decoder, self.decoder
        self.appearance = None

    @abstractmethod
    def embedded(self, grid: Tensor, regions: Tensor) -> Tensor:
        """Embeddings (N, Q, C) from Z_v (N, C_v, g, g) and masks (N, Q, M, M), 0 or 1; empty masks may get anything."""

    def reconstruct(self, grid: Tensor, colormaps: Tensor, maps: Sequence[Tensor] = ()) -> Reconstruction:
        """Like `Gella.reconstruct`, without learning to reconstruct."""
        regions = coloured(colormaps, self.config.decoder.queries)
        count, queries = regions.shape[:2]
        features = (regions[..., 2::4, 2::4] * 2 - 1) * CERTAIN  # one channel per region
        own = torch.eye(queries, device=grid.device).expand(count, -1, -1)
        known = Prediction(features.new_zeros(count, queries, 2), own)
        return Reconstruction(features, [known], None, self.embedded(grid.float(), regions))


class MeanFeatures(EntityFeatures):
    """Mean image features under each mask, through two layers."""

    def __init__(self, config: GellaConfig) -> None:
        super().__init__(config)
        self.region = _two_layers(config.vision.width, config.decoder.width)

    def embedded(self, grid: Tensor, regions: Tensor) -> Tensor:
        """See `EntityFeatures.embedded`."""
        return self.region(mask_pooled(grid, regions))


class BoxFeatures(EntityFeatures):
    """RoIAlign (He et al., ICCV 2017): image features sampled in each mask's box, through two layers (Table XX)."""

    def __init__(self, config: GellaConfig) -> None:
        super().__init__(config)
        self.region = _two_layers(config.vision.width * _BINS**2, config.decoder.width)

    def embedded(self, grid: Tensor, regions: Tensor) -> Tensor:
        """See `EntityFeatures.embedded`."""
        return self.region(roi_align(grid, boxes(regions)).flatten(2))


class MaskedAttention(EntityFeatures):
    """Embeddings that look at the image, with their masks added to the attention scores or multiplied with them.

    Table XX; the embeddings begin as mean features under the masks, since our segmenters do not hand theirs over.

    Args:
        config: sizes of all parts.
        multiplied: multiplies the scores with the masks instead of adding them.
    """

    def __init__(self, config: GellaConfig, *, multiplied: bool) -> None:
        super().__init__(config)
        width, sizes = config.decoder.width, config.decoder
        self.region = _two_layers(config.vision.width, width)
        self.image = nn.Linear(config.vision.width, width)
        self.layers = nn.ModuleList(
            _Layer(width, sizes.heads, sizes.ffn, multiplied=multiplied) for _ in range(sizes.layers)
        )

    def embedded(self, grid: Tensor, regions: Tensor) -> Tensor:
        """See `EntityFeatures.embedded`."""
        x, image = self.region(mask_pooled(grid, regions)), self.image(grid.flatten(2).mT)
        shares = F.adaptive_avg_pool2d(regions, grid.shape[-1]).flatten(2)  # (N, Q, g²)
        for layer in self.layers:
            x = layer(x, image, shares)
        return x


class BinaryMasks(EntityFeatures):
    """Each binary mask through MobileNetV2; the result then looks at the image and at the other entities (Table XIX).

    Args:
        config: sizes of all parts.
        values: what pixels outside and inside a mask are, as the encoder gets them.
        pooling: how a mask's feature map becomes one embedding, a name in `POOLINGS`.
        blocks: blocks of attention to the image and among entities.
    """

    def __init__(
        self, config: GellaConfig, *, values: tuple[float, float] = (0, 255), pooling: str = "avg", blocks: int = 1
    ) -> None:
        super().__init__(config)
        width = config.decoder.width
        self.values = values
        self.encoder = MobileNetV2(config.encoder_scale)
        self.pooling = POOLINGS[pooling](self.encoder.channels[-1])
        self.region = _two_layers(self.encoder.channels[-1], width)
        self.image = nn.Linear(config.vision.width, width)
        self.blocks = nn.ModuleList(_Layer(width, config.decoder.heads, config.decoder.ffn) for _ in range(blocks))

    def embedded(self, grid: Tensor, regions: Tensor) -> Tensor:
        """See `EntityFeatures.embedded`."""
        outside, inside = self.values
        small = outside + (inside - outside) * F.adaptive_avg_pool2d(regions, _MASK_SIDE)
        there = regions.flatten(2).any(-1)  # only these are encoded, since most of the queries are empty
        pixels = small[there][:, None].expand(-1, 3, -1, -1)
        encoded = small.new_zeros(*there.shape, self.encoder.channels[-1])
        encoded[there] = self.pooling(self.encoder(pixels)[-1]).to(encoded.dtype)
        x, image = self.region(encoded), self.image(grid.flatten(2).mT)
        for block in self.blocks:
            x = block(x, image)
        return x


class _Average(nn.Module):
    """The mean of a feature map."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) → (N, C)."""
        return features.mean((2, 3))


class _Convolution(nn.Module):
    """A learnt convolution whose kernel is as large as the feature map: 14×14 in the paper, 3×3 here."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, _MASK_SIDE // 32)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) → (N, C)."""
        return self.conv(features).flatten(1)


class _ClassToken(nn.Module):
    """A learnt token that attends to a feature map and to itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(channels) * 0.02)
        self.norm = nn.LayerNorm(channels)
        self.attention = MultiheadAttention(channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) → (N, C)."""
        token = self.token.expand(len(features), 1, -1)
        seen = self.norm(torch.cat((token, features.flatten(2).mT), 1))
        return (token + self.attention(seen[:, :1], seen, seen, None))[:, 0]


POOLINGS: dict[str, Callable[[int], nn.Module]] = {"avg": _Average, "conv": _Convolution, "cls": _ClassToken}
"""The pooling styles of Table XIX, from a number of channels."""


class _Layer(nn.Module):
    """Cross-attention to the image, self-attention among entities, and a feed-forward network."""

    def __init__(self, width: int, heads: int, ffn: int, *, multiplied: bool = False) -> None:
        super().__init__()
        self.heads, self.multiplied = heads, multiplied
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.self_attention = MultiheadAttention(width, heads)
        self.ffn = nn.Sequential(nn.Linear(width, ffn), nn.GELU(), nn.Linear(ffn, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, image: Tensor, shares: Tensor | None = None) -> Tensor:
        """Entities (N, Q, C), the image (N, P, C), and how much of each of its cells a mask covers, (N, Q, P)."""
        query, key, value = (
            part(given).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part, given in ((self.query, x), (self.key, image), (self.value, image))
        )
        scores = query @ key.mT / query.shape[-1] ** 0.5  # (N, heads, Q, P)
        if shares is not None:
            scores = scores * shares[:, None] if self.multiplied else scores + _WEIGHT * shares[:, None]
        seen = self.out((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
        x = self.norms[0](x + seen)
        x = self.norms[1](x + self.self_attention(x, x, x, None))
        return self.norms[2](x + self.ffn(x))


def coloured(colormaps: Tensor, most: int) -> Tensor:
    """Regions of one colour, without black: colormaps (N, 3, M, M) in -1..1 → (N, most, M, M) float32, 0 or 1.

    Regions are ordered by colour, and only the first `most` are kept; if there are fewer, the last ones are empty.
    """
    levels = ((colormaps.float() + 1) * 127.5).round().long()
    codes = (levels[:, 0] * 256 + levels[:, 1]) * 256 + levels[:, 2]
    regions = torch.zeros(len(codes), most, *codes.shape[1:], device=codes.device)
    for own, code in zip(regions, codes):
        colours = code.unique()
        for region, colour in zip(own, colours[colours > 0]):
            region.copy_(code == colour)
    return regions


def boxes(regions: Tensor) -> Tensor:
    """The boxes of masks (N, Q, M, M), as x0, y0, x1, y1 from 0 to 1, (N, Q, 4); an empty mask has the whole square."""
    found = []
    for inside in (regions.amax(2), regions.amax(3)):  # columns, rows
        side = inside.shape[-1]
        first = inside.argmax(-1)
        last = side - inside.flip(-1).argmax(-1)
        found += [first / side, last / side]
    x0, x1, y0, y1 = found
    return torch.stack((x0, y0, x1, y1), -1)


def roi_align(grid: Tensor, places: Tensor) -> Tensor:
    """Features (N, C, g, g) in boxes (N, Q, 4) → (N, Q, C, bins, bins): means of bilinear samples."""
    count = _BINS * _SAMPLES
    steps = (torch.arange(count, device=grid.device) + 0.5) / count
    x = places[..., 0, None] + (places[..., 2] - places[..., 0])[..., None] * steps  # (N, Q, count)
    y = places[..., 1, None] + (places[..., 3] - places[..., 1])[..., None] * steps
    points = torch.stack((x[..., None, :].expand(*x.shape, count), y[..., None].expand(*y.shape, count)), -1)
    batch, queries = places.shape[:2]
    sampled = F.grid_sample(
        grid, points.reshape(batch, queries * count, count, 2) * 2 - 1, padding_mode="border", align_corners=False
    )
    sampled = sampled.unflatten(2, (queries, count)).transpose(1, 2)  # (N, Q, C, count, count)
    return F.avg_pool2d(sampled.flatten(0, 1), _SAMPLES).unflatten(0, (batch, queries))


def _two_layers(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.LayerNorm(width))
