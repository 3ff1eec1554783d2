"""Multi-scale deformable attention (Zhu et al., ICLR 2021), without compiled operators of our own."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ...support.device import computing_in
from .linear import Linear

Shapes = list[tuple[int, int]]  # (height, width) of every level


class DeformableAttention(nn.Module):
    """Multi-scale deformable attention (Zhu et al., ICLR 2021): a pixel samples a few positions on every level."""

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = Linear(width, heads * levels * points * 2)
        self.weights = Linear(width, heads * levels * points)
        self.value = Linear(width, width)
        self.output = Linear(width, width)
        self._initialise()

    def _initialise(self) -> None:
        """Initially every head samples in its own direction, point p at p + 1 pixels, with equal weights."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack((angle.cos(), angle.sin()), dim=-1)
        direction = direction / direction.abs().max(dim=-1, keepdim=True).values
        steps = torch.arange(1, self.points + 1)
        offsets = direction[:, None, None, :] * steps[None, None, :, None]  # (heads, 1, points, xy)
        nn.init.zeros_(self.offsets.weight)
        with torch.no_grad():
            self.offsets.bias.copy_(offsets.expand(-1, self.levels, -1, -1).flatten())
        for linear in (self.weights, self.value, self.output):
            nn.init.xavier_uniform_(linear.weight) if linear is not self.weights else nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def values(self, memory: Tensor) -> Tensor:
        """The pixels of all levels (N, S, C) → (N, S, heads, C/heads), at least float32, which queries then sample."""
        with computing_in(torch.float32, memory.device):
            return self.value(_at_least_float32(memory)).unflatten(2, (self.heads, -1))

    def forward(self, query: Tensor, value: Tensor, reference: Tensor, shapes: Shapes) -> Tensor:
        """Attention of some pixels to all.

        Always in float32 or better: half precision is too coarse for the positions, and masks depend on them.

        Args:
            query: (N, P, C).
            value: (N, S, heads, C/heads), see `values`.
            reference: (P, 2), x and y of the queries' own pixels in 0..1.
            shapes: height and width of each level.

        Returns:
            (N, P, C).
        """
        with computing_in(torch.float32, query.device):
            query = _at_least_float32(query)
            batch, pixels, width = query.shape
            offsets = self.offsets(query).view(batch, pixels, self.heads, self.levels, self.points, 2)
            weights = self.weights(query).view(batch, pixels, self.heads, -1).softmax(dim=-1)
            weights = weights.view(batch, pixels, self.heads, self.levels, self.points)
            # Offsets and positions are in pixels of the level; pixel centres are whole numbers.
            sizes = torch.tensor([(w, h) for h, w in shapes], dtype=reference.dtype, device=reference.device)
            places = reference[:, None, None, None] * sizes[:, None] - 0.5 + offsets
            sample = sample_rows if query.device.type == "cpu" else sample_grid
            return self.output(sample(value, places, weights, shapes).reshape(batch, pixels, width).to(value.dtype))


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def sample_grid(value: Tensor, places: Tensor, weights: Tensor, shapes: Shapes) -> Tensor:
    """The weighted sum of bilinear samples, level by level with `grid_sample`: runs on any device.

    Args:
        value: (N, S, heads, d), the pixels of all levels, concatenated.
        places: (N, P, heads, levels, points, 2), x and y in pixels of the level; values outside it are 0.
        weights: (N, P, heads, levels, points).
        shapes: height and width of each level.

    Returns:
        (N, P, heads, d).
    """
    batch, _, heads, _ = value.shape
    out: Tensor | float = 0.0
    for level, ((h, w), source) in enumerate(zip(shapes, value.split([h * w for h, w in shapes], dim=1))):
        source = source.permute(0, 2, 3, 1).reshape(batch * heads, -1, h, w)
        source = source.to(torch.promote_types(source.dtype, places.dtype))  # bf16 is too coarse for positions
        grid = (2 * places[:, :, :, level] + 1) / places.new_tensor((w, h)) - 1  # -1..1 from border to border
        grid = grid.transpose(1, 2).flatten(0, 1)  # (N·heads, P, points, 2)
        sampled = F.grid_sample(source, grid, align_corners=False)  # (N·heads, d, P, points)
        weight = weights[:, :, :, level].transpose(1, 2).flatten(0, 1).to(source.dtype)  # (N·heads, P, points)
        out = out + torch.einsum("bdsp,bsp->bds", sampled, weight)
    assert isinstance(out, Tensor)
    return out.unflatten(0, (batch, heads)).permute(0, 3, 1, 2)


def sample_rows(value: Tensor, places: Tensor, weights: Tensor, shapes: Shapes) -> Tensor:
    """The same as `sample_grid`, as one weighted sum of table rows, which is three times as fast on CPUs.

    A head's channels of a pixel are one row of memory, so a bilinear sample is the sum of four rows, and all samples of
    a query are one bag of levels · points · 4 rows.
    """
    batch, pixels, heads = value.shape[:3]
    table = value.reshape(-1, value.shape[3])
    table = table.to(torch.promote_types(table.dtype, torch.float32))
    columns, rows = (
        _taps(places[..., axis], places.new_tensor([shape[1 - axis] for shape in shapes])[:, None]) for axis in (0, 1)
    )
    # Row of the table = ((image · pixels + start of the level + y · width) + x) · heads + head.
    lengths = torch.tensor([h * w for h, w in shapes], dtype=torch.int32)
    starts = (lengths.cumsum(0, dtype=torch.int32) - lengths)[:, None]
    widths = torch.tensor([w for _, w in shapes], dtype=torch.int32)[:, None]
    pictures = torch.arange(batch, dtype=torch.int32)[:, None, None, None, None] * pixels
    head = torch.arange(heads, dtype=torch.int32)[:, None, None]
    lines = [((y * widths + starts + pictures) * heads + head, weights * share) for y, share in rows]
    taps = [(line + x * heads, weight * share) for line, weight in lines for x, share in columns]
    index, weight = (torch.stack(parts, dim=-1).view(weights.shape[:3].numel(), -1) for parts in zip(*taps))
    out = _WeightedRows.apply(table, index, weight.to(table.dtype))
    return out.view(*weights.shape[:3], -1)


def _taps(position: Tensor, size: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Linear interpolation along one axis: index (int32) and weight of each of two taps; weight 0 beyond the border."""
    low = position.floor()
    beyond = position - low
    taps = []
    for tap, share in ((low, 1 - beyond), (low + 1, beyond)):
        kept = torch.minimum(tap.clamp(min=0), size - 1)
        taps.append((kept.int(), share * (kept == tap)))
    return taps


class _WeightedRows(torch.autograd.Function):
    """Sums of weighted table rows: table (R, d), index and weights (bags, K) → (bags, d).

    PyTorch's `embedding_bag` with a three times faster backward pass: the gradient of a table row is a weighted
    sum of bag gradients, so it is another `embedding_bag` once the entries are sorted by row.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(table, index, weights)
        return F.embedding_bag(index, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor]:
        table, index, weights = ctx.saved_tensors
        entries = index.flatten()
        row, order = entries.sort()
        ends = torch.searchsorted(row, torch.arange(len(table), dtype=row.dtype))
        bags = order.div(index.shape[1], rounding_mode="floor")
        sorted_weights = weights.flatten().index_select(0, order)
        for_table = F.embedding_bag(bags, gradient, ends, per_sample_weights=sorted_weights, mode="sum")
        with torch.enable_grad():  # PyTorch's own gradient of the weights is fast
            weights = weights.detach().requires_grad_()
            leaf = table.detach().requires_grad_()  # PyTorch 2.4 rejects a table without gradient
            bag = F.embedding_bag(index, leaf, per_sample_weights=weights, mode="sum")
        (for_weights,) = torch.autograd.grad(bag, weights, gradient)
        return for_table, None, for_weights
