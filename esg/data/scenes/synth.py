"""Endless procedural scenes with exact masks.

A scene is drawn in two steps: `planner.plan` draws a layout in relative coordinates from the seed; this module
evaluates it on a pixel grid with torch tensor operations. Every entity is evaluated only inside its bounding box, in
three passes: distances and labels of all entities, visibility (entities that are hardly visible are left out), and
colours of the rest. There is one code path: a batch is a loop over scenes, each vectorised over its pixels on the
device. Padding all shapes of all scenes to common boxes would fill a GPU better, but would waste most of the work on a
CPU and make the code much harder to read.

Seeds from `HELD_OUT` on are reserved for evaluation; training uses smaller ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import Layer, Layout, SceneConfig, Shadow
from .planner import plan
from .shapes import Bounds
from .textures import colour_name

__all__ = ["HELD_OUT", "Scene", "SceneConfig", "SceneEntity", "make_batch", "make_scene"]

HELD_OUT = 1_000_000_000
"""The first seed of the scenes that are reserved for evaluation."""

DEFAULT = SceneConfig()

Window = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True)
class SceneEntity:
    """The visible part of an entity of a scene.

    Attributes:
        id: its value in the label map.
        name: its name, e.g. "disc", "railing", "wall".
        kind: "thing" or "stuff".
        colour: everyday name of its colour.
        texture: a key of `textures.TEXTURES`, e.g. "striped".
        size: "tiny", "small", "medium" or "large".
        box: x0, y0, x1, y1 in pixels, x1 and y1 exclusive.
        area: number of visible pixels.
    """

    id: int
    name: str
    kind: str
    colour: str
    texture: str
    size: str
    box: tuple[int, int, int, int]
    area: int


@dataclass(frozen=True)
class Scene:
    """A picture with complete ground truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) int32, the entity of every pixel; ids are 1..N, from back to front.
        entities: the entities, in the order of their ids.
        relations: (id, relation, id) triples: "inside", "in front of", "left of" or "above".
    """

    image: np.ndarray
    labels: np.ndarray
    entities: tuple[SceneEntity, ...]
    relations: tuple[tuple[int, str, int], ...]


@dataclass(frozen=True)
class _Painted:
    """A painted scene on its device: image (3, H, W) uint8, labels (H, W) int32, and the layers of the labels.

    `masks` holds the window of every entity and its mask in it, including hidden parts.
    """

    image: Tensor
    labels: Tensor
    layers: list[Layer]
    parents: list[int]
    masks: list[tuple[Window, Tensor]]


class _Canvas:
    """The pixel grid of one scene, and the picture painted so far."""

    def __init__(self, height: int, width: int, device: torch.device) -> None:
        self.height, self.width, self.device = height, width, device
        self.pixel = 1 / math.sqrt(height * width)
        self.x = (torch.arange(width, device=device) + 0.5) * self.pixel
        self.y = (torch.arange(height, device=device) + 0.5) * self.pixel
        self.image = torch.zeros(3, height, width, device=device)

    def window(self, bounds: Bounds, margin: float) -> Window | None:
        """The part of the grid within a margin of some bounds, or None if they lie outside."""
        x0, y0, x1, y1 = bounds
        left, right = (math.floor((b + m) / self.pixel) for b, m in ((x0, -margin), (x1, margin)))
        top, bottom = (math.floor((b + m) / self.pixel) for b, m in ((y0, -margin), (y1, margin)))
        rows = slice(max(top - 1, 0), min(bottom + 2, self.height))
        columns = slice(max(left - 1, 0), min(right + 2, self.width))
        return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None

    def shade_under(self, layer: Layer, shadow: Shadow) -> None:
        """Darkens the picture where a layer's shadow falls."""
        x0, y0, x1, y1 = layer.shape.bounds
        moved = (x0 + shadow.dx, y0 + shadow.dy, x1 + shadow.dx, y1 + shadow.dy)
        if (window := self.window(moved, shadow.softness)) is None:
            return
        distance = layer.shape.distance(self.x[window[1]] - shadow.dx, self.y[window[0]] - shadow.dy)
        dark = (0.5 - distance / (2 * shadow.softness)).clamp(0, 1)
        dark = dark * dark * (3 - 2 * dark)
        self.image[:, window[0], window[1]] *= 1 - shadow.strength * dark

    def paint(self, layer: Layer, window: Window, distance: Tensor, light: tuple[float, float, float]) -> None:
        """Paints a layer over the picture; `distance` is that of its shape in the window."""
        if layer.shadow is not None:
            self.shade_under(layer, layer.shadow)
        colour = layer.material.paint(self.x[window[1]], self.y[window[0]], self.pixel)
        if layer.relief:
            colour = self.lit(colour, layer, distance, light)
        # Parts thinner than a pixel cover it only in part.
        coverage = min(1.0, layer.shape.thickness / self.pixel)
        alpha = (0.5 - distance / (self.pixel + 2 * layer.softness)).clamp(0, coverage)
        view = self.image[:, window[0], window[1]]
        view.copy_(torch.lerp(view, colour, alpha[None]))

    def normals(self, layer: Layer, distance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Surface normals of a cushion: upright deep inside, leaning outward within `bevel` of the outline."""
        lean = (1 + distance / layer.bevel).clamp(0, 0.95)
        dx, dy = torch.zeros_like(distance), torch.zeros_like(distance)
        step = 2 * self.pixel
        dx[:, 1:-1] = (distance[:, 2:] - distance[:, :-2]) / step
        dy[1:-1] = (distance[2:] - distance[:-2]) / step
        return dx.clamp(-1, 1) * lean, dy.clamp(-1, 1) * lean, torch.sqrt(1 - lean * lean)

    def lit(self, colour: Tensor, layer: Layer, distance: Tensor, light: tuple[float, float, float]) -> Tensor:
        """Colours (3, h, w) on a curved surface: unchanged where it faces the viewer, with a highlight if glossy."""
        nx, ny, nz = self.normals(layer, distance)
        sideways = nx * light[0] + ny * light[1]
        colour = colour * (1 + layer.relief * (sideways + (nz - 1) * light[2]))
        if layer.gloss:  # Blinn's half vector between light and viewer
            facing = (sideways + nz * (light[2] + 1)) / math.sqrt(2 + 2 * light[2])
            colour = colour + layer.gloss * facing.clamp(min=0) ** 40
        return colour

    def blur(self, radius: float) -> None:
        """Blurs the picture painted so far; `radius` is a standard deviation in relative units."""
        sigma = radius / self.pixel
        # A wide blur removes all detail, so it can be computed on a smaller grid.
        factor = max(1, min(int(sigma / 1.2), self.height // 4, self.width // 4))
        small = F.avg_pool2d(self.image[None], factor, ceil_mode=True, count_include_pad=False)
        sigma = max(sigma / factor, 1e-3)
        reach = math.ceil(2.5 * sigma)
        weights = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-reach, reach + 1)]
        for axis, pad in ((3, (reach, reach, 0, 0)), (2, (0, 0, reach, reach))):
            size = small.shape[axis]
            padded = F.pad(small, pad, mode="replicate")
            # A few shifted sums are faster than a convolution with one channel.
            small = torch.zeros_like(small)
            for k, weight in enumerate(weights):
                small.add_(padded.narrow(axis, k, size), alpha=weight / sum(weights))
        if factor > 1:
            full = (small.shape[2] * factor, small.shape[3] * factor)
            small = F.interpolate(small, full, mode="bilinear", align_corners=False)
        self.image = small[0, :, : self.height, : self.width].contiguous()

    def expose(self, layout: Layout) -> Tensor:
        """The camera: uneven light, colour cast, vignette and noise; returns (3, H, W) uint8."""
        image = self.image
        if layout.patches is not None:
            patches = torch.sigmoid(layout.patches(self.x, self.y, self.pixel) / layout.patch_softness * 4)
            image = image * (1 - layout.patch_strength * patches)
        gain = torch.tensor(layout.cast, device=self.device)[:, None, None] * layout.contrast
        image = image * gain + (0.5 * (1 - layout.contrast) + layout.brightness)
        if layout.vignette:
            cx, cy = (self.x - self.x.mean()) ** 2, (self.y - self.y.mean()) ** 2
            image = image * (1 - layout.vignette * (cx[None] + cy[:, None]))
        if layout.noise:
            generator = torch.Generator(self.device).manual_seed(layout.noise_seed)
            noise = torch.randn(image.shape, generator=generator, device=self.device)
            image = image + noise * (layout.noise / 255)
        return (image * 255).round_().clamp_(0, 255).to(torch.uint8)


def _paint(seed: int, height: int, width: int, device: torch.device, config: SceneConfig) -> _Painted:
    """Paints the scene of a seed; in the rare case of fewer than three visible entities, tries another layout."""
    for attempt in range(100):
        layout = plan((seed, attempt), width / height, config)
        canvas = _Canvas(height, width, device)
        shown: list[tuple[int, Window, Tensor, Tensor]] = []  # index of the layer, window, distance, mask
        for index, layer in enumerate(layout.layers):
            if (window := canvas.window(layer.shape.bounds, layer.softness + canvas.pixel)) is not None:
                distance = layer.shape.distance(canvas.x[window[1]], canvas.y[window[0]])
                shown.append((index, window, distance, distance < 0))
        while True:
            labels = torch.zeros(height, width, dtype=torch.int32, device=device)
            for number, (_, window, _, mask) in enumerate(shown, 1):
                labels[window].masked_fill_(mask, number)
            areas = torch.bincount(labels.flatten(), minlength=len(shown) + 1)[1:].tolist()
            floor = max(config.min_pixels, config.min_share * height * width)
            visible = [entry for entry, area in zip(shown, areas, strict=True) if area >= floor]
            if len(visible) == len(shown):
                break
            shown = visible  # the pixels of dropped entities go to those behind them, which can only grow
        if len(shown) < 3 and attempt < 99:
            continue
        blur_due = layout.defocus > 0
        for index, window, distance, _ in shown:
            if blur_due and index >= layout.focus:
                canvas.blur(layout.defocus)
                blur_due = False
            canvas.paint(layout.layers[index], window, distance, layout.light)
        numbers = {index: number for number, (index, *_) in enumerate(shown, 1)}
        layers = [layout.layers[index] for index, *_ in shown]
        return _Painted(
            image=canvas.expose(layout),
            labels=labels,
            layers=layers,
            parents=[numbers.get(layer.parent, 0) for layer in layers],
            masks=[(window, mask) for _, window, _, mask in shown],
        )
    raise AssertionError("unreachable")


def make_scene(
    seed: int, height: int, width: int, config: SceneConfig = DEFAULT, *, device: str | torch.device = "cpu"
) -> Scene:
    """The scene of a seed.

    The same seed gives the same layout at every resolution of the same aspect ratio, and the same pixels on the same
    type of device.

    Args:
        seed: non-negative; seeds from `HELD_OUT` on are reserved for evaluation.
        height, width: size in pixels.
        config: the distribution that scenes are drawn from.
        device: device to compute on.
    """
    painted = _paint(seed, height, width, torch.device(device), config)
    labels = painted.labels.cpu().numpy()
    entities = _describe(painted, labels)
    return Scene(painted.image.permute(1, 2, 0).cpu().numpy(), labels, entities, _relate(painted, labels, entities))


def make_batch(
    seeds: Sequence[int],
    height: int,
    width: int,
    device: str | torch.device = "cpu",
    config: SceneConfig = DEFAULT,
) -> tuple[Tensor, Tensor]:
    """Images (B, 3, H, W) uint8 and labels (B, H, W) int32 of several scenes, on the device; like `make_scene`."""
    scenes = [_paint(seed, height, width, torch.device(device), config) for seed in seeds]
    return torch.stack([s.image for s in scenes]), torch.stack([s.labels for s in scenes])


def _describe(painted: _Painted, labels: np.ndarray) -> tuple[SceneEntity, ...]:
    height, width = labels.shape
    entities = []
    for number, layer in enumerate(painted.layers, 1):
        rows, columns = painted.masks[number - 1][0]
        mask = labels[rows, columns] == number
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = (columns.start + xs[0], rows.start + ys[0], columns.start + xs[-1] + 1, rows.start + ys[-1] + 1)
        area = int(mask.sum())
        share = area / (height * width)
        size = "tiny" if share < 0.002 else "small" if share < 0.015 else "medium" if share < 0.1 else "large"
        first, second = layer.material.colours
        mean = (
            first
            if layer.material.texture == "plain"
            else tuple((a + b) / 2 for a, b in zip(first, second, strict=True))
        )
        entities.append(
            SceneEntity(
                id=number,
                name=layer.name,
                kind=layer.kind,
                colour=colour_name(mean),  # type: ignore[arg-type]
                texture=layer.material.texture,
                size=size,
                box=tuple(int(b) for b in box),  # type: ignore[arg-type]
                area=area,
            )
        )
    return tuple(entities)


def _relate(
    painted: _Painted, labels: np.ndarray, entities: tuple[SceneEntity, ...]
) -> tuple[tuple[int, str, int], ...]:
    """Relations between the visible things of a scene.

    "inside": a thing lies on another one. "in front of": a thing hides a part of another one that is still visible.
    "left of" and "above": the boxes are disjoint in that direction and overlap in the other one.
    """
    relations = [(number, "inside", parent) for number, parent in enumerate(painted.parents, 1) if parent]
    things = [e for e in entities if e.kind == "thing"]
    behind = np.zeros_like(labels)
    for entity in entities:
        window, mask_tensor = painted.masks[entity.id - 1]
        mask = mask_tensor.cpu().numpy()
        if entity.kind == "thing":
            for other in np.unique(behind[window][mask]).tolist():
                if other and entities[other - 1].kind == "thing" and other != painted.parents[entity.id - 1]:
                    relations.append((entity.id, "in front of", other))
        behind[window][mask] = entity.id
    for a in things:
        for b in things:
            beside = min(a.box[3], b.box[3]) > max(a.box[1], b.box[1])
            stacked = min(a.box[2], b.box[2]) > max(a.box[0], b.box[0])
            if beside and a.box[2] <= b.box[0]:
                relations.append((a.id, "left of", b.id))
            if stacked and a.box[3] <= b.box[1]:
                relations.append((a.id, "above", b.id))
    return tuple(relations)
