"""Masked-attention decoder of Mask2Former (Cheng et al., CVPR 2022), over one view or several views at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...support.errors import InputError
from .anchors import Anchors, choose_anchors
from .attention import MultiheadAttention
from .linear import Linear
from .position import pixel_positions, view_positions


@dataclass(frozen=True)
class Prediction:
    """The output of one prediction head for a group of views that share their queries.

    Attributes:
        logits: (B, Q, K + 1), class logits; the last column means "no entity". Entity segmentation has K = 1.
        embeddings: (B, Q, C), mask embeddings: their product with the mask features gives mask logits.
    """

    logits: Tensor
    embeddings: Tensor

    def masks(self, features: Tensor) -> Tensor:
        """features (B, T, C, h, w) → mask logits (B, Q, T, h, w)."""
        return torch.einsum("bqc,btchw->bqthw", self.embeddings, features)


class DecoderLayer(nn.Module):
    """Masked cross-attention, self-attention, FFN, all post-norm."""

    def __init__(self, width: int, heads: int, ffn: int) -> None:
        super().__init__()
        self.cross_attention = MultiheadAttention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.self_attention = MultiheadAttention(width, heads)
        self.self_norm = nn.LayerNorm(width)
        self.linear1 = Linear(width, ffn)
        self.linear2 = Linear(ffn, width)
        self.ffn_norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, positions: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """queries, positions (B, Q, C), keys, values (B, N, C), mask (B, 1, Q, N) bool, True = attend → (B, Q, C)."""
        queries = self.cross_norm(queries + self.cross_attention(queries + positions, keys, values, mask))
        return self.feed_forward(self.attend_to_each_other(queries, positions))

    def attend_to_each_other(self, queries: Tensor, positions: Tensor | float) -> Tensor:
        """Self-attention among the queries."""
        placed = queries + positions
        return self.self_norm(queries + self.self_attention(placed, placed, queries))

    def feed_forward(self, queries: Tensor) -> Tensor:
        """The FFN."""
        return self.ffn_norm(queries + self.linear2(self.linear1(queries, "relu")))


def _mlp(width: int) -> nn.Sequential:
    linears = [Linear(width, width) for _ in range(3)]
    return nn.Sequential(linears[0], nn.ReLU(), linears[1], nn.ReLU(), linears[2])


@dataclass(frozen=True)
class Queries:
    """Queries on their way through the decoder.

    Attributes:
        content: (B, Q, C).
        positions: (B, Q, C), added wherever queries attend.
    """

    content: Tensor
    positions: Tensor


class MaskDecoder(nn.Module):
    """Turns queries into class logits and mask embeddings; in each layer, they attend inside their own masks.

    Image level and batch level (CropFormer Sec. 4, Φ_i and Φ_b) are the same weights: the image level sees groups of
    one view, the batch level one group of all views, whose keys also carry the index of their view.

    Args:
        anchors: side of the grid of anchors from which image-level queries are chosen (see `anchors`); None for the
            published method, in which all queries are learned.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        ffn: int,
        layers: int,
        queries: int,
        classes: int,
        levels: int,
        anchors: int | None = None,
    ) -> None:
        super().__init__()
        if anchors is not None and anchors**2 < queries:
            raise InputError(f"{queries} queries cannot be chosen from {anchors}x{anchors} anchors.")
        self.query_features = nn.Parameter(torch.randn(queries, width))
        self.query_positions = nn.Parameter(torch.randn(queries if anchors is None else anchors**2, width))
        self.anchors = None if anchors is None else Anchors(width, anchors)
        self.level_embed = nn.Parameter(torch.randn(levels, width))
        self.layers = nn.ModuleList(DecoderLayer(width, heads, ffn) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.class_head = Linear(width, classes + 1)
        self.mask_head = _mlp(width)
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        if anchors is not None:
            nn.init.zeros_(self.query_features)
            with torch.no_grad():
                self.query_positions.copy_(pixel_positions(anchors, anchors, width, torch.device("cpu")))

    def head(self, queries: Tensor) -> Prediction:
        """(B, Q, C) → their prediction."""
        queries = self.norm(queries)
        return Prediction(self.class_head(queries), self.mask_head(queries))

    def begin(self, levels: list[Tensor], mask_features: Tensor) -> tuple[Queries, Prediction | None]:
        """The initial queries of the image level, for groups of one view; arguments as in `forward`.

        Returns:
            The queries, and the predictions of all anchors, if there are any.
        """
        batch = len(mask_features)
        learned = self.query_features.expand(batch, -1, -1)
        if self.anchors is None:
            return Queries(learned, self.query_positions.expand(batch, -1, -1)), None
        content = self.anchors(levels[-1][:, 0])  # (B, A, C)
        prediction = self.head(content)
        guide = _shrink(mask_features, levels[-1].shape[3:])
        chosen = choose_anchors(prediction.embeddings.detach() @ guide >= 0, learned.shape[1])  # (B, Q)
        chosen = chosen[..., None].expand(-1, -1, content.shape[2])
        # A learned query stands for a rank in the choice: early ranks rarely duplicate another query.
        positions = self.query_positions.expand(batch, -1, -1).gather(1, chosen)
        return Queries(content.gather(1, chosen) + learned, positions), prediction

    def forward(
        self, levels: list[Tensor], mask_features: Tensor, queries: Queries, *, batch_level: bool = False
    ) -> tuple[Tensor, list[Prediction]]:
        """Decodes groups of views.

        Args:
            levels: context features (B, T, C, h, w), coarsest first.
            mask_features: (B, T, C, H, W).
            queries: initial queries.
            batch_level: whether a group contains all views of an image, or a single view (T = 1).

        Returns:
            The queries after the last layer, (B, Q, C), and a prediction before the first and after every layer.
        """
        # Interpolation is linear: shrinking the mask features instead of Q masks gives the same attention masks.
        guides = [_shrink(mask_features, level.shape[3:]) for level in levels]

        def own_mask(level: int, prediction: Prediction) -> Tensor:
            return _attention_mask(prediction.embeddings, guides[level])

        return self._decode(queries, self._memories(levels, batch_level), own_mask)

    def follow(self, levels: list[Tensor], masks: list[Tensor]) -> list[Prediction]:
        """Decodes queries of one view that only know where to look; mask-piloted training uses this.

        Args:
            levels: context features (B, 1, C, h, w), coarsest first.
            masks: per level, (B, P, h·w) bool, True where a query may attend in every layer; rows must not be empty.

        Returns:
            A prediction after every layer.
        """
        blank = levels[0].new_zeros(*masks[0].shape[:2], levels[0].shape[2])
        memories = self._memories(levels, batch_level=False)
        return self._decode(Queries(blank, blank), memories, lambda level, _: masks[level][:, None])[1][1:]

    def _decode(
        self,
        queries: Queries,
        memories: list[tuple[Tensor, Tensor]],
        mask_of: Callable[[int, Prediction], Tensor],
    ) -> tuple[Tensor, list[Prediction]]:
        content = queries.content
        predictions = [self.head(content)]
        for index, layer in enumerate(self.layers):
            level = index % len(memories)
            content = layer(content, queries.positions, *memories[level], mask_of(level, predictions[-1]))
            predictions.append(self.head(content))
        return content, predictions

    def _memories(self, levels: list[Tensor], batch_level: bool) -> list[tuple[Tensor, Tensor]]:
        return [self._memory(level, embed, batch_level) for level, embed in zip(levels, self.level_embed)]

    def _memory(self, level: Tensor, embed: Tensor, batch_level: bool) -> tuple[Tensor, Tensor]:
        """(B, T, C, h, w) → keys and values, (B, T·h·w, C)."""
        views, channels, height, width = level.shape[1:]
        value = level.flatten(3).transpose(2, 3).flatten(1, 2) + embed
        if batch_level:
            position = view_positions(views, height, width, channels, level.device)
        else:
            position = pixel_positions(height, width, channels, level.device)
        return value + position.to(value.dtype), value


def _shrink(features: Tensor, size: torch.Size) -> Tensor:
    """(B, T, C, H, W) → (B, C, T·h·w)."""
    batch, views = features.shape[:2]
    small = F.interpolate(features.detach().flatten(0, 1), size=tuple(size), mode="bilinear", align_corners=False)
    return small.unflatten(0, (batch, views)).flatten(3).transpose(1, 2).flatten(2)


def _attention_mask(embeddings: Tensor, guide: Tensor) -> Tensor:
    """True inside the query's own mask; a query with an empty mask may attend everywhere → (B, 1, Q, N) bool."""
    mask = embeddings.detach() @ guide >= 0
    return (mask | ~mask.any(dim=-1, keepdim=True))[:, None]
