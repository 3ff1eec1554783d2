"""Shapes as signed distance functions over a coordinate grid.

Coordinates are relative: the picture's area is one, x runs right from 0 to sqrt(width / height), y down from 0 to
sqrt(height / width). Every shape has

- `bounds`: (x0, y0, x1, y1), outside of which the distance is positive,
- `thickness`: width of its parts if all of them are thin, infinite for compact shapes,
- `distance(x, y)`: (h, w) signed distances, negative inside, for the columns x (w,) and rows y (h,). They are exact
  near the outline, where anti-aliasing, shading and soft shadows use them, and approximate elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .noise import Noise

Bounds = tuple[float, float, float, float]
Stroke = tuple[float, float, float, float, float, float]
EVERYWHERE: Bounds = (-9.0, -9.0, 9.0, 9.0)
STROKE_REACH = 0.02
"""Distance from its strokes up to which the distance of `Strokes` is exact; limits the softness of their shadows."""


class Shape(Protocol):
    """The interface of a shape, see the module's text."""

    @property
    def bounds(self) -> Bounds: ...

    @property
    def thickness(self) -> float: ...

    def distance(self, x: Tensor, y: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Plane:
    """The whole picture."""

    bounds: Bounds = EVERYWHERE
    thickness: float = math.inf

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.full((len(y), len(x)), -1.0, device=x.device)


@dataclass(frozen=True)
class Side:
    """One side of a line through (x, y); `angle` is the outward normal's, `relief` makes the line wavy."""

    x: float
    y: float
    angle: float
    relief: Noise | None = None
    height: float = 0.0
    thickness: float = math.inf

    @property
    def bounds(self) -> Bounds:
        nx, ny = math.cos(self.angle), math.sin(self.angle)
        if ny > -0.5:
            return EVERYWHERE
        # A region below a line does not reach above the line's higher end (pictures are < 3 units wide).
        rise = 3 * abs(nx / ny) + 4 * self.height
        return (-9.0, self.y - rise, 9.0, 9.0)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        nx, ny = math.cos(self.angle), math.sin(self.angle)
        plane = ((x - self.x) * nx)[None] + ((y - self.y) * ny)[:, None]
        return plane if self.relief is None else plane + self.height * self.relief(x, y).clamp(-4, 4)


@dataclass(frozen=True)
class Cell:
    """The Voronoi cell of the first of several sites (x, y)."""

    sites: tuple[tuple[float, float], ...]
    bounds: Bounds = EVERYWHERE
    thickness: float = math.inf

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        (ax, ay), *others = self.sites
        sides = []
        for bx, by in others:
            angle = math.atan2(by - ay, bx - ax)
            sides.append(Side((ax + bx) / 2, (ay + by) / 2, angle).distance(x, y))
        return reduce(torch.maximum, sides)


@dataclass(frozen=True)
class Radial:
    """A star-shaped outline: `radii` (n,) at n equal steps of the angle, starting at `angle`, around (x, y)."""

    x: float
    y: float
    angle: float
    radii: np.ndarray
    thickness: float = math.inf

    @property
    def bounds(self) -> Bounds:
        r = float(self.radii.max())
        return (self.x - r, self.y - r, self.x + r, self.y + r)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        n = len(self.radii)
        radii = self.radii.astype(np.float32)
        # The distance along the ray exceeds the true distance to the outline, by a factor that depends on its slope.
        slope = (np.roll(radii, -1) - np.roll(radii, 1)) * (n / (4 * np.pi)) / radii
        # The tables repeat their first entry at the end, for interpolation across the full turn.
        table = np.stack((radii, 1 / np.sqrt(1 + slope**2)))
        rays = torch.from_numpy(np.concatenate((table, table[:, :2]), 1)).to(x.device)
        dx, dy = (x - self.x)[None].expand(len(y), -1), (y - self.y)[:, None].expand(-1, len(x))
        turn = (torch.atan2(dy, dx) - self.angle) * (n / (2 * math.pi))
        turn = turn.remainder(n)
        ray = turn.long()
        radius, factor = torch.lerp(rays[:, ray], rays[:, ray + 1], turn - ray)
        return (torch.hypot(dx, dy) - radius) * factor


@dataclass(frozen=True)
class Box:
    """A rotated box with half sides (a, b) and rounded corners."""

    x: float
    y: float
    a: float
    b: float
    angle: float = 0.0
    corner: float = 0.0

    @property
    def bounds(self) -> Bounds:
        c, s = abs(math.cos(self.angle)), abs(math.sin(self.angle))
        w, h = self.a * c + self.b * s, self.a * s + self.b * c
        return (self.x - w, self.y - h, self.x + w, self.y + h)

    @property
    def thickness(self) -> float:
        return 2 * min(self.a, self.b)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        c, s = math.cos(self.angle), math.sin(self.angle)
        dx, dy = (x - self.x)[None], (y - self.y)[:, None]
        corner = min(self.corner, self.a, self.b)
        u = (dx * c + dy * s).abs() - (self.a - corner)
        v = (dy * c - dx * s).abs() - (self.b - corner)
        return torch.hypot(u.clamp(min=0), v.clamp(min=0)) + torch.maximum(u, v).clamp(max=0) - corner


@dataclass(frozen=True)
class Strokes:
    """The union of tapered strokes (x0, y0, x1, y1, r0, r1); each is evaluated only near itself."""

    segments: tuple[Stroke, ...]

    @property
    def bounds(self) -> Bounds:
        boxes = np.array([_stroke_box(s, 0.0) for s in self.segments])
        return (*map(float, boxes[:, :2].min(0)), *map(float, boxes[:, 2:].max(0)))  # type: ignore[return-value]

    @property
    def thickness(self) -> float:
        return 2 * max(max(s[4], s[5]) for s in self.segments)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        field = torch.full((len(y), len(x)), 1.0, device=x.device)
        x_start, y_start = float(x[0]), float(y[0])
        pixel = max(float(x[-1]) - x_start, float(y[-1]) - y_start) / max(len(x) - 1, len(y) - 1, 1) or 1.0
        for stroke in self.segments:
            box = _stroke_box(stroke, STROKE_REACH)
            left, right = (math.ceil((b - x_start) / pixel) for b in (box[0], box[2]))
            top, bottom = (math.ceil((b - y_start) / pixel) for b in (box[1], box[3]))
            part = (slice(max(top, 0), max(bottom, 0)), slice(max(left, 0), max(right, 0)))
            xs, ys = x[part[1]], y[part[0]]
            if len(xs) == 0 or len(ys) == 0:
                continue
            x0, y0, x1, y1, r0, r1 = stroke
            ex, ey = x1 - x0, y1 - y0
            dx, dy = (xs - x0)[None], (ys - y0)[:, None]
            along = ((dx * ex + dy * ey) / max(ex * ex + ey * ey, 1e-12)).clamp(0, 1)
            distance = torch.hypot(dx - along * ex, dy - along * ey) - (r0 + along * (r1 - r0))
            field[part] = torch.minimum(field[part], distance)
        return field


def _stroke_box(stroke: Stroke, margin: float) -> Bounds:
    x0, y0, x1, y1, r0, r1 = stroke
    r = max(r0, r1) + margin
    return (min(x0, x1) - r, min(y0, y1) - r, max(x0, x1) + r, max(y0, y1) + r)


@dataclass(frozen=True)
class Bars:
    """Infinite parallel bars across the direction `angle`."""

    angle: float
    period: float
    thickness: float
    phase: float = 0.0
    bounds: Bounds = EVERYWHERE

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        across = (x * math.cos(self.angle))[None] + (y * math.sin(self.angle))[:, None]
        return ((across / self.period + self.phase).remainder(1) - 0.5).abs() * self.period - self.thickness / 2


@dataclass(frozen=True)
class Leaves:
    """Foliage without an outline of its own: leaf-like specks where noise is above a level."""

    noise: Noise
    level: float
    bounds: Bounds = EVERYWHERE

    @property
    def thickness(self) -> float:
        return 0.5 / max(self.noise.frequency)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        # Noise of unit variance rises by about 1.7 per cell, which converts levels to distances.
        return (self.level - self.noise(x, y)) * (0.6 / max(self.noise.frequency))


@dataclass(frozen=True)
class Union:
    """The union of shapes."""

    shapes: tuple[Shape, ...]

    @property
    def bounds(self) -> Bounds:
        boxes = np.array([s.bounds for s in self.shapes])
        return (*map(float, boxes[:, :2].min(0)), *map(float, boxes[:, 2:].max(0)))  # type: ignore[return-value]

    @property
    def thickness(self) -> float:
        return max(s.thickness for s in self.shapes)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        return reduce(torch.minimum, (s.distance(x, y) for s in self.shapes))


@dataclass(frozen=True)
class Intersection:
    """The intersection of shapes."""

    shapes: tuple[Shape, ...]

    @property
    def bounds(self) -> Bounds:
        boxes = np.array([s.bounds for s in self.shapes])
        return (*map(float, boxes[:, :2].max(0)), *map(float, boxes[:, 2:].min(0)))  # type: ignore[return-value]

    @property
    def thickness(self) -> float:
        return min(s.thickness for s in self.shapes)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        return reduce(torch.maximum, (s.distance(x, y) for s in self.shapes))


@dataclass(frozen=True)
class Difference:
    """`shape` without `hole`."""

    shape: Shape
    hole: Shape

    @property
    def bounds(self) -> Bounds:
        return self.shape.bounds

    @property
    def thickness(self) -> float:
        return self.shape.thickness

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.maximum(self.shape.distance(x, y), -self.hole.distance(x, y))


@dataclass(frozen=True)
class Rim:
    """The outermost strip of a shape: rings, frames, hoops."""

    shape: Shape
    thickness: float

    @property
    def bounds(self) -> Bounds:
        return self.shape.bounds

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.shape.distance(x, y) + self.thickness / 2).abs() - self.thickness / 2


@dataclass(frozen=True)
class Rough:
    """A shape whose outline is displaced by noise with standard deviation `height`."""

    shape: Shape
    noise: Noise
    height: float

    @property
    def bounds(self) -> Bounds:
        x0, y0, x1, y1 = self.shape.bounds
        m = 3 * self.height
        return (x0 - m, y0 - m, x1 + m, y1 + m)

    @property
    def thickness(self) -> float:
        return self.shape.thickness

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        # At most three standard deviations, so that the bounds above hold.
        return self.shape.distance(x, y) + self.height * self.noise(x, y).clamp(-3, 3)
