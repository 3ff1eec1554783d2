"""CropFormer (Qi et al., ICCV 2023, Sec. 4): segments an image from its full view and high-resolution crops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...support.compiling import Compiler
from ...support.device import computing_in
from ..layers.efficientnet import EfficientNet
from ..layers.mask_decoder import MaskDecoder, Prediction, Queries
from ..layers.pixel_decoder import PixelDecoder
from .association import ViewAssociation
from .config import CropFormerConfig
from .position_code import PositionCode


@dataclass(frozen=True)
class Output:
    """Predictions of all heads at both levels: before the first decoder layer and after every layer; the last is final.

    Attributes:
        levels: context features (B, T, C, h, w) at strides 32, 16 and 8.
        features: (B, T, C, h, w), mask features P₂ at stride 4.
        image: predictions U_i of every single view: logits (B·T, Q, K + 1).
        batch: predictions U_b over all views together: logits (B, Q, K + 1); empty if the batch level was left out.
        anchors: predictions of every view's anchors, logits (B·T, A, K + 1); None for a model without anchors.
    """

    levels: list[Tensor]
    features: Tensor
    image: list[Prediction]
    batch: list[Prediction]
    anchors: Prediction | None = None


class CropFormer(nn.Module):
    """Backbone Θ, pixel decoder, image- and batch-level decoder with shared weights, and the association between them.

    Without association it is a plain Mask2Former of the same sizes.
    """

    def __init__(self, config: CropFormerConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = config.backbone.build()
        self.whereabouts = PositionCode(config.backbone.channels) if config.whereabouts else None
        self.pixel_decoder = PixelDecoder(
            config.backbone.channels,
            width=config.width,
            heads=config.heads,
            points=config.points,
            layers=config.encoder_layers,
            ffn=config.encoder_ffn,
        )
        self.decoder = MaskDecoder(
            config.width,
            heads=config.heads,
            ffn=config.decoder_ffn,
            layers=config.decoder_layers,
            queries=config.queries,
            classes=config.classes,
            levels=PixelDecoder.levels,
            anchors=config.anchors,
        )
        self.association = (
            ViewAssociation(config.width, config.heads, config.decoder_ffn, config.association_parts)
            if config.association
            else None
        )

    def forward(
        self,
        pixels: Tensor,
        frames: Tensor,
        *,
        batch_level: bool = True,
        views_at_once: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Output:
        """Segments B images of T views each.

        Args:
            pixels: (B, T, 3, H, W) float, normalised, the full view first, H and W multiples of 32.
            frames: (B, T, 4) float, the part of the photo that each view with its padding spans: x0, y0, x1, y1 in
                widths and heights of the photo (`ViewGeometry.frames`); used only by models with `whereabouts`.
            batch_level: False leaves out association and batch level.
            views_at_once: number of the B·T views that go through backbone, pixel decoder and image level together;
                fewer need less memory. The results are the same up to rounding. None: all.
            progress: called as `progress(views done, B·T)`.
        """
        batch, views = pixels.shape[:2]
        flat, flat_frames = pixels.flatten(0, 1), frames.flatten(0, 1)
        step = views_at_once or len(flat)
        chunks = []
        for start in range(0, len(flat), step):
            chunks.append(self._image_level(flat[start : start + step], flat_frames[start : start + step]))
            if progress is not None:
                progress(min(start + step, len(flat)), len(flat))
        levels = [_join(parts).unflatten(0, (batch, views)) for parts in zip(*(chunk.levels for chunk in chunks))]
        features = _join([chunk.features for chunk in chunks]).unflatten(0, (batch, views))
        image = [_join_predictions(heads) for heads in zip(*(chunk.predictions for chunk in chunks))]
        anchored = [chunk.anchors for chunk in chunks if chunk.anchors is not None]
        anchors = _join_predictions(anchored) if anchored else None
        if self.association is None or not batch_level:
            return Output(levels, features, image, [], anchors)
        content, positions = (
            _join([getattr(chunk.queries, name) for chunk in chunks]).unflatten(0, (batch, views))  # (B, T, Q, C)
            for name in ("content", "positions")
        )
        return Output(levels, features, image, self._batch_level(levels, features, content, positions), anchors)

    def compile_levels(self) -> None:
        """Makes `torch.compile` compile image and batch level when they first run, see `support.compiling`."""
        compiler = Compiler()
        for name in ("_image_level", "_batch_level"):
            setattr(self, name, compiler(getattr(self, name)))

    def _batch_level(
        self, levels: list[Tensor], features: Tensor, content: Tensor, positions: Tensor
    ) -> list[Prediction]:
        """The predictions of the batch level, from the image level's features and queries (B, T, Q, C)."""
        assert self.association is not None
        associated = Queries(self.association.associate(content, positions), positions[:, 0])
        return self.decoder(levels, features, associated, batch_level=True)[1]

    def _image_level(self, pixels: Tensor, frames: Tensor) -> _ImageLevel:
        """The output of the image level for N views, from (N, 3, H, W) and (N, 4)."""
        # The channels of a trained EfficientNet-Lite differ too much in size for half precision, and rounded features
        # would change which anchors become queries.
        exact = isinstance(self.backbone, EfficientNet) and not self.training
        with computing_in(torch.float32, pixels.device) if exact else nullcontext():
            maps = self.backbone(pixels)
            if self.whereabouts is not None:
                maps = self.whereabouts(maps, frames)
            levels, features = self.pixel_decoder(maps)
            groups, group_features = [level[:, None] for level in levels], features[:, None]
            queries, anchors = self.decoder.begin(groups, group_features)
        content, predictions = self.decoder(groups, group_features, queries)
        return _ImageLevel(levels, features, Queries(content, queries.positions), predictions, anchors)


@dataclass(frozen=True)
class _ImageLevel:
    levels: list[Tensor]
    features: Tensor
    queries: Queries
    predictions: list[Prediction]
    anchors: Prediction | None


def _join_predictions(predictions: Sequence[Prediction]) -> Prediction:
    return Prediction(
        _join([prediction.logits for prediction in predictions]),
        _join([prediction.embeddings for prediction in predictions]),
    )


def _join(parts: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    return torch.cat(list(parts)) if len(parts) > 1 else parts[0]
