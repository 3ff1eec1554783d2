"""Outlines of compact things: radius as a function of the angle, for `shapes.Radial`.

An outline is an array (512,) of positive radii at equal steps of the angle over a full turn, starting at angle 0; its
largest radius is one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_STEPS = 512
_ANGLES = np.arange(_STEPS) * (2 * np.pi / _STEPS)


def ellipse(ratio: float) -> np.ndarray:
    """Ellipse with half axes 1 and `ratio`."""
    return ratio / np.hypot(ratio * np.cos(_ANGLES), np.sin(_ANGLES))


def polygon(angles: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Straight edges between corners given in polar coordinates (angles increasing, gaps below half a turn)."""
    k = np.searchsorted(angles, _ANGLES, side="right") - 1
    a0, a1 = angles[k % len(angles)], angles[(k + 1) % len(angles)]
    r0, r1 = radii[k % len(radii)], radii[(k + 1) % len(radii)]
    r = r0 * r1 * np.sin(a1 - a0) / (r0 * np.sin(_ANGLES - a0) + r1 * np.sin(a1 - _ANGLES))
    return r / r.max()


def star(points: int, depth: float) -> np.ndarray:
    """A star with this many points; `depth` is the inner radius."""
    return polygon(np.arange(2 * points) * (np.pi / points), np.tile([1.0, depth], points))


def lobes(count: int, depth: float) -> np.ndarray:
    """A flower or gear-like outline."""
    r = 1 + depth * np.cos(count * _ANGLES)
    return r / r.max()


def squircle(power: float) -> np.ndarray:
    """A shape between a disc (2) and a square (large powers); below 2 an astroid."""
    r = (np.abs(np.cos(_ANGLES)) ** power + np.abs(np.sin(_ANGLES)) ** power) ** (-1 / power)
    return r / r.max()


def leaf(sharpness: float) -> np.ndarray:
    """A drop or leaf with its tip at angle 0."""
    r = 0.35 + 0.65 * np.abs(np.cos(_ANGLES / 2)) ** sharpness
    return r / r.max()


def blob(rng: np.random.Generator, roughness: float) -> np.ndarray:
    """An organic outline: a circle with random harmonics."""
    r = np.ones(_STEPS)
    for k in range(1, 9):
        r += roughness * rng.normal() / k**1.2 * np.cos(k * _ANGLES + rng.uniform(0, 2 * np.pi))
    r = np.maximum(r, 0.25)
    return r / r.max()


def stretched(radii: np.ndarray, ratio: float) -> np.ndarray:
    """The outline squeezed in y by `ratio`."""
    px, py = radii * np.cos(_ANGLES), ratio * radii * np.sin(_ANGLES)
    r = np.interp(_ANGLES, np.arctan2(py, px) % (2 * np.pi), np.hypot(px, py), period=2 * np.pi)
    return r / r.max()


Outline = Callable[[np.random.Generator], np.ndarray]
OUTLINES: dict[str, Outline] = {
    "disc": lambda rng: np.ones(_STEPS),
    "ellipse": lambda rng: ellipse(rng.uniform(0.3, 0.85)),
    "triangle": lambda rng: stretched(polygon(np.arange(3) * (2 * np.pi / 3), np.ones(3)), rng.uniform(0.6, 1.3)),
    "polygon": lambda rng: _irregular(rng),
    "star": lambda rng: star(int(rng.integers(4, 9)), rng.uniform(0.35, 0.7)),
    "flower": lambda rng: lobes(int(rng.integers(4, 10)), rng.uniform(0.12, 0.4)),
    "tile": lambda rng: stretched(squircle(rng.uniform(3, 9)), rng.uniform(0.5, 1.0)),
    "leaf": lambda rng: stretched(leaf(rng.uniform(2, 8)), rng.uniform(0.6, 1.1)),
    "blob": lambda rng: stretched(blob(rng, rng.uniform(0.15, 0.45)), rng.uniform(0.5, 1.0)),
}


def _irregular(rng: np.random.Generator) -> np.ndarray:
    corners = int(rng.integers(4, 9))
    angles = (np.arange(corners) + rng.uniform(-0.3, 0.3, corners)) * (2 * np.pi / corners)
    return polygon(angles - angles[0], rng.uniform(0.6, 1.0, corners))
