"""Materials: the look of an entity's surface before lighting."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .noise import Noise

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """A two-coloured texture with a gradient and grain.

    Attributes:
        texture: a key of `TEXTURES`.
        colours: two colours, sRGB in 0..1; the texture mixes them.
        angle: direction of stripes, grain and the like, in radians.
        period: length of one repetition, in relative units.
        seed: random seed of the noise.
        gradient: change of brightness along (x, y) per unit of length.
        origin: the point where that change is zero.
        grain: strength of an irregular variation of brightness.
        fineness: its frequency, in cells per period.
    """

    texture: str
    colours: tuple[Colour, Colour]
    angle: float
    period: float
    seed: int
    gradient: tuple[float, float]
    origin: tuple[float, float]
    grain: float
    fineness: float

    def paint(self, x: Tensor, y: Tensor, pixel: float) -> Tensor:
        """Colours (3, h, w) for the columns x (w,) and rows y (h,); values may be outside 0..1."""
        a, b = (torch.tensor(c, device=x.device)[:, None, None] for c in self.colours)
        gx, gy = self.gradient
        light = ((x - self.origin[0]) * gx)[None] + ((y - self.origin[1]) * gy)[:, None]
        light = light.clamp(-0.35, 0.35) + 1
        if self.grain:
            frequency = self.fineness / self.period
            light = light + self.grain * Noise(self.seed + 1, (frequency, frequency), 3, 0.7)(x, y, pixel)
        if self.texture == "plain":
            return a * light
        mix = TEXTURES[self.texture](self, x, y, pixel)
        # Patterns finer than two pixels blur into their mean, as they would in a camera.
        shown = self.period / pixel / 2 - 0.75
        if shown < 1:
            mix = torch.lerp(mix.mean(), mix, max(shown, 0.0))
        return torch.lerp(a * light, b * light, mix[None])


def _rotated(m: Material, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates (h, w) along and across the material's direction, in periods."""
    c, s = math.cos(m.angle) / m.period, math.sin(m.angle) / m.period
    return (x * c)[None] + (y * s)[:, None], (y * c)[:, None] - (x * s)[None]


def _soft(distance: Tensor, m: Material, pixel: float) -> Tensor:
    """Step from 0 to 1 where a distance in periods becomes positive, one pixel wide."""
    return (distance * (m.period / pixel) + 0.5).clamp(0, 1)


def _wave(u: Tensor) -> Tensor:
    """Triangle wave of period one: 0.25 at whole numbers, -0.25 halfway."""
    return (u.remainder(1) - 0.5).abs() - 0.25


def _stripes(m: Material, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    return _soft(_wave(_rotated(m, x, y)[0]), m, pixel)


def _checks(m: Material, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    u, v = _rotated(m, x, y)
    a, b = _soft(_wave(u), m, pixel), _soft(_wave(v), m, pixel)
    return a + b - 2 * a * b


def _plaid(m: Material, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    u, v = _rotated(m, x, y)
    return 0.5 * _soft(_wave(u), m, pixel) + 0.5 * _soft(_wave(v) - 0.1, m, pixel)


def _dots(m: Material, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    u, v = _rotated(m, x, y)
    u = u + 0.5 * torch.floor(v)  # rows are staggered
    return _soft(0.3 - torch.hypot(u.remainder(1) - 0.5, v.remainder(1) - 0.5), m, pixel)


def _bricks(m: Material, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    u, v = _rotated(m, x, y)
    v = v * 2
    row = torch.floor(v)
    u = u + 0.5 * row.remainder(2)
    joint = torch.maximum((u.remainder(1) - 0.5).abs() - 0.46, ((v.remainder(1) - 0.5).abs() - 0.42) / 2)
    # Neighbouring bricks differ a little: a cheap hash of row and column.
    tone = torch.frac(torch.sin(torch.floor(u) * 12.9898 + row * 78.233) * 437.58).abs()
    return 0.35 * tone * (1 - (s := _soft(joint, m, pixel))) + s


def _tiles(m: Material, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    u, v = _rotated(m, x, y)
    return _soft(torch.maximum((u.remainder(1) - 0.5).abs(), (v.remainder(1) - 0.5).abs()) - 0.45, m, pixel)


def _wood(m: Material, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    u, v = _rotated(m, x, y)
    f = 0.6 / m.period
    warp = Noise(m.seed, (f, f), 2)(x, y, pixel)
    return 0.5 + 0.5 * torch.sin(2 * math.pi * (u + 0.08 * v) + 2.2 * warp)


def _marble(m: Material, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    u, _ = _rotated(m, x, y)
    f = 0.8 / m.period
    vein = torch.sin(math.pi * u + 2.5 * Noise(m.seed, (f, f), 4)(x, y, pixel))
    return 1 - (1 - vein.abs()) ** 2


def _clouds(m: Material, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    f = 0.5 / m.period
    return torch.sigmoid(1.3 * Noise(m.seed, (f, f * 1.6), 5, 0.55)(x, y, pixel))


def _mottle(m: Material, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    f = 1.5 / m.period
    return torch.sigmoid(2.5 * Noise(m.seed, (f, f), 3, 0.8)(x, y, pixel))


def _spots(m: Material, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    f = 1.0 / m.period
    return torch.sigmoid(9 * Noise(m.seed, (f, f), 1)(x, y, pixel) - 5)


def _grass(m: Material, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    f = 2.0 / m.period
    return torch.sigmoid(1.5 * Noise(m.seed, (2.5 * f, 0.7 * f), 3, 0.8)(x, y, pixel))


def _ripples(m: Material, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    f = 1.0 / m.period
    return torch.sigmoid(1.8 * Noise(m.seed, (0.4 * f, 3 * f), 3, 0.6)(x, y, pixel))


Texture = Callable[[Material, Tensor, Tensor, float], Tensor]
TEXTURES: dict[str, Texture] = {
    "plain": lambda m, x, y, pixel: torch.zeros(len(y), len(x), device=x.device),
    "striped": _stripes,
    "checked": _checks,
    "plaid": _plaid,
    "dotted": _dots,
    "brick": _bricks,
    "tiled": _tiles,
    "wooden": _wood,
    "marbled": _marble,
    "cloudy": _clouds,
    "mottled": _mottle,
    "spotted": _spots,
    "grassy": _grass,
    "rippled": _ripples,
}


def colour_name(colour: Colour) -> str:
    """The everyday name of a colour, e.g. "dark blue" is "blue", a light red "pink"."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(min(max(c, 0.0), 1.0) for c in colour))
    if value < 0.16:
        return "black"
    if saturation < 0.13 or (saturation < 0.25 and value < 0.3):
        return "white" if value > 0.85 else "grey"
    degrees = 360 * hue
    if 15 <= degrees < 48 and value < 0.65:
        return "brown"
    if (degrees < 15 or degrees >= 340) and saturation < 0.55 and value > 0.75:
        return "pink"
    limits = ((15, "red"), (45, "orange"), (68, "yellow"), (160, "green"), (195, "turquoise"), (255, "blue"))
    for limit, name in limits:
        if degrees < limit:
            return name
    return "purple" if degrees < 295 else "pink" if degrees < 340 else "red"
