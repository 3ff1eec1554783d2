"""Draws single things of a scene: names and shapes, around (x, y) with an extent `size`.

Compact things are outlines, boxes and combinations of them; thin things have parts much thinner than their extent. All
lengths are relative, as in `shapes`.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from .draws import Draws
from .outlines import OUTLINES
from .shapes import Bars, Box, Difference, Intersection, Leaves, Radial, Rim, Rough, Shape, Stroke, Strokes, Union

WITH_STROKES = ("animal", "figure", "lollipop", "railing", "wire", "wires", "branch", "tree", "glyph", "grass")
"""Things that contain `Strokes`: their distance is only known up to `STROKE_REACH`."""

_THIN = ("railing", "wire", "branch", "foliage", "net", "glyph", "grille", "grass")


def compact(rng: Draws, x: float, y: float, size: float) -> tuple[str, Shape]:
    """Name and shape of a compact thing."""
    r = size / 2
    if rng.chance(0.2):
        a, b = r, r * rng.log_uniform(0.2, 1.0)
        name = "bar" if b < 0.35 * a else "box"
        shape: Shape = Box(x, y, a, b, rng.angle(), float(rng.choice([0.0, 0.2, 0.5, 1.0]) * b))
    else:
        name = str(rng.choice(tuple(OUTLINES)))
        shape = Radial(x, y, rng.angle(), OUTLINES[name](rng) * r)
    if rng.chance(0.2):
        shape = Rough(shape, rng.noise(rng.log_uniform(1.0, 4.0) / size, 4), size * rng.log_uniform(0.006, 0.05))
    if name in ("disc", "ellipse", "tile", "box", "star") and rng.chance(0.15):
        rim = Rim(shape, size * float(rng.uniform(0.06, 0.2)))
        return ("ring" if name in ("disc", "ellipse") else "frame"), rim
    if rng.chance(0.06):
        turn, r = rng.angle(), r * 0.9
        hole = Radial(x + r * 0.5 * math.cos(turn), y + r * 0.5 * math.sin(turn), 0.0, OUTLINES["disc"](rng) * r)
        return ("crescent" if name == "disc" else "bitten " + name), Difference(shape, hole)
    if rng.chance(0.06):
        hole = Radial(x, y, 0.0, OUTLINES["disc"](rng) * (r * rng.uniform(0.15, 0.3)))
        return "pierced " + name, Difference(shape, hole)
    if rng.chance(0.1) and name in ("disc", "ellipse", "box", "tile", "blob"):
        return _compound(rng, x, y, size, shape)
    return name, shape


def _compound(rng: Draws, x: float, y: float, size: float, body: Shape) -> tuple[str, Shape]:
    """A body with a head and legs, or with a stalk, as one entity."""
    r = size / 2
    name = str(rng.choice(("animal", "figure", "lollipop")))
    if name == "lollipop":
        return name, Union((body, Strokes(((x, y, x + r * rng.normal(0, 0.2), y + 2.2 * r, 0.06 * r, 0.06 * r),))))
    side = float(rng.choice((-1, 1)))
    head_x, head_y = (x + side * 0.9 * r, y - 0.5 * r) if name == "animal" else (x, y - 1.1 * r)
    head = Radial(head_x, head_y, 0.0, OUTLINES["ellipse"](rng) * (0.45 * r))
    legs = []
    for k in (-0.6, -0.3, 0.3, 0.6) if name == "animal" else (-0.3, 0.3):
        thick = r * float(rng.uniform(0.06, 0.12))
        legs.append((x + k * r, y, x + k * r * rng.uniform(0.8, 1.4), y + r * rng.uniform(1.1, 1.5), thick, thick))
    return name, Union((body, head, Strokes(tuple(legs))))


def thin(rng: Draws, x: float, y: float, size: float, width: float) -> tuple[str, Shape]:
    """Name and shape of a thin structure; wires run across the whole picture, which is `width` wide."""
    name = str(rng.choice(_THIN))
    fine = size * rng.log_uniform(0.008, 0.03)
    if name == "railing":
        return name, _railing(rng, x, y, size, fine)
    if name in ("net", "grille"):
        return name, _mesh(rng, x, y, size, fine, crossed=name == "net")
    if name == "foliage":
        return _foliage(rng, x, y, size)
    if name == "branch":
        return name, _branch(rng, x, y, size, fine)
    if name == "grass":
        return name, _grass(rng, x, y, size, fine)
    if name == "wire":
        return _wires(rng, y, width)
    return name, _glyph(rng, x, y, size)


def _railing(rng: Draws, x: float, y: float, size: float, fine: float) -> Shape:
    """Posts between two or three rails."""
    r = size / 2
    tilt, w, h = float(rng.normal(0, 0.06)), r * 1.2, r * rng.log_uniform(0.3, 0.8)
    outline = Box(x, y, w, h, tilt)
    along = np.array([math.cos(tilt), math.sin(tilt)])
    up = np.array([-along[1], along[0]])
    rails = []
    for level in (-0.98, 0.9) if rng.chance(0.6) else (-0.98, -0.3, 0.4):
        a, b = (x, y) + up * h * level - along * w, (x, y) + up * h * level + along * w
        rails.append(_stroke(a, b, fine))
    posts = Bars(tilt, fine * float(rng.uniform(4, 9)), fine * float(rng.uniform(0.8, 1.4)))
    return Union((Intersection((outline, posts)), Strokes(tuple(rails))))


def _mesh(rng: Draws, x: float, y: float, size: float, fine: float, crossed: bool) -> Shape:
    """A frame filled with bars, which are parallel or cross each other."""
    r = size / 2
    outline = Box(x, y, r, r * rng.log_uniform(0.4, 1), float(rng.normal(0, 0.3)), r * 0.1)
    tilt, period = rng.angle(), fine * float(rng.uniform(5, 10))
    bars: tuple[Shape, ...] = (Bars(tilt, period, fine),)
    if crossed:
        bars += (Bars(tilt + np.pi / 2, period, fine),)
    return Union((Intersection((outline, Union(bars))), Rim(outline, 1.6 * fine)))


def _foliage(rng: Draws, x: float, y: float, size: float) -> tuple[str, Shape]:
    """A crown of leaves, with or without its tree."""
    r = size / 2
    blob = Radial(x, y, 0.0, OUTLINES["blob"](rng) * r)
    leaves = Leaves(rng.noise(rng.log_uniform(10, 36) / size, 2), float(rng.uniform(-0.5, 0.3)))
    crown = Intersection((Rough(blob, rng.noise(5 / size, 3), 0.05 * size), leaves))
    twigs = Strokes(_twigs(rng, x, y + 1.3 * r, -np.pi / 2, 1.4 * r, 0.05 * r, 3))
    return ("tree", Union((crown, twigs))) if rng.chance(0.5) else ("foliage", crown)


def _branch(rng: Draws, x: float, y: float, size: float, fine: float) -> Shape:
    r, start = size / 2, rng.angle()
    return Strokes(_twigs(rng, x - r * math.cos(start), y - r * math.sin(start), start, 1.1 * r, 1.5 * fine, 4))


def _twigs(rng: Draws, x: float, y: float, angle: float, length: float, thick: float, depth: int) -> tuple[Stroke, ...]:
    """A branching structure that starts at (x, y)."""
    part = length * 0.45
    x1, y1 = x + part * math.cos(angle), y + part * math.sin(angle)
    out = [(float(x), float(y), float(x1), float(y1), thick, thick * 0.65)]
    if depth:
        for turn in (-1, 1) if rng.chance(0.6) else (-1, 0, 1):
            bend = angle + turn * rng.uniform(0.25, 0.8) + rng.normal(0, 0.1)
            out += _twigs(rng, x1, y1, float(bend), length * rng.uniform(0.6, 0.8), thick * 0.6, depth - 1)
    return tuple(out)


def _grass(rng: Draws, x: float, y: float, size: float, fine: float) -> Shape:
    """Blades that grow from one line."""
    r = size / 2
    blades = []
    for _ in range(int(rng.integers(12, 40))):
        foot = x + r * rng.uniform(-1, 1)
        tip = foot + r * rng.normal(0, 0.25)
        blades.append((foot, y + r * 0.5, tip, y + r * 0.5 - r * rng.uniform(0.4, 1.3), fine, fine * 0.3))
    return Strokes(tuple(blades))


def _wires(rng: Draws, y: float, width: float) -> tuple[str, Shape]:
    """One or several sagging lines from side to side of the picture."""
    fine = rng.log_uniform(0.001, 0.004)
    lines = int(rng.integers(1, 5))
    y0, y1, sag = y + rng.normal(0, 0.1), y + rng.normal(0, 0.1), rng.uniform(0, 0.15)
    t = np.linspace(0, 1, 13)
    xs = t * (width + 0.2) - 0.1
    strokes: list[Stroke] = []
    for k in range(lines):
        ys = y0 + (y1 - y0) * t + sag * 4 * t * (1 - t) + k * fine * 8
        strokes += [_stroke(p, q, fine) for p, q in pairwise(np.stack((xs, ys), 1))]
    return ("wires" if lines > 1 else "wire"), Strokes(tuple(strokes))


def _glyph(rng: Draws, x: float, y: float, size: float) -> Shape:
    """A sign of a few strokes, like a letter."""
    thick = size * rng.log_uniform(0.025, 0.08)
    points = rng.uniform(-0.45, 0.45, (int(rng.integers(3, 6)), 2)) * size + (x, y)
    if rng.chance(0.5):  # letters prefer upright strokes
        points[1:, 0] = np.where(np.arange(1, len(points)) % 2, points[:-1, 0], points[1:, 0])
    return Strokes(tuple(_stroke(p, q, thick) for p, q in pairwise(points)))


def _stroke(start: np.ndarray, end: np.ndarray, radius: float) -> Stroke:
    return (float(start[0]), float(start[1]), float(end[0]), float(end[1]), radius, radius)
