"""What is where in a synthetic scene: stuff, things on it, their materials, light and camera.

A layout is drawn from a seed and the picture's aspect ratio alone, in relative coordinates (see `shapes`), so that it
is the same at every resolution. Painting it is the business of `synth`.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from .noise import Noise
from .shapes import (
    OUTLINES,
    STROKE_REACH,
    Bars,
    Box,
    Cell,
    Difference,
    Intersection,
    Leaves,
    Plane,
    Radial,
    Rim,
    Rough,
    Shape,
    Side,
    Stroke,
    Strokes,
    Union,
)
from .textures import TEXTURES, Colour, Material

_WITH_STROKES = ("animal", "figure", "lollipop", "railing", "wire", "wires", "branch", "tree", "glyph", "grass")
_PATTERNS = tuple(t for t in TEXTURES if t != "plain")


@dataclass(frozen=True)
class SceneConfig:
    """The mixture that scenes are drawn from.

    Attributes:
        things: Least and most things that are placed; occlusion removes some of them again.
        size: Smallest and largest extent of a thing, relative to the square root of the picture's area; log-uniform.
        thin: Share of things that are thin structures (railings, wires, branches, nets, ...).
        textured: Share of things with a pattern instead of a plain colour.
        camouflaged: Share of things coloured like something behind them.
        nested: Share of things that carry smaller things on them.
        grouped: Share of things that come in groups of look-alikes.
        blurred: Share of scenes with a background out of focus.
        noise: Largest standard deviation of the sensor noise, in grey levels.
        min_share: Share of the picture below which an entity that is visible is left out.
        min_pixels: The same in pixels; the larger of the two holds.
    """

    things: tuple[int, int] = (4, 26)
    size: tuple[float, float] = (0.05, 0.75)
    thin: float = 0.16
    textured: float = 0.45
    camouflaged: float = 0.1
    nested: float = 0.18
    grouped: float = 0.12
    blurred: float = 0.3
    noise: float = 9.0
    min_share: float = 0.0006
    min_pixels: int = 12


@dataclass(frozen=True)
class Shadow:
    """A cast shadow: the caster's shape, moved by (dx, dy) and softened."""

    dx: float
    dy: float
    softness: float
    strength: float


@dataclass(frozen=True)
class Layer:
    """One entity to paint.

    Attributes:
        name, kind: What it is; kind is "thing" or "stuff".
        shape, material: Where it is and what it looks like.
        softness: Width of its boundary, in relative units, added to one pixel.
        bevel, relief: Shading turns with the surface within `bevel` of the outline, by the amount `relief`.
        gloss: Strength of the highlight.
        shadow: The shadow it casts on what lies behind it.
        parent: Index of the layer it lies on as a part or a pattern, -1 for none.
    """

    name: str
    kind: str
    shape: Shape
    material: Material
    softness: float = 0.0
    bevel: float = 0.0
    relief: float = 0.0
    gloss: float = 0.0
    shadow: Shadow | None = None
    parent: int = -1


@dataclass(frozen=True)
class Layout:
    """A scene before it is painted.

    Attributes:
        layers: Entities, the hindmost first; stuff comes before things and the first layer covers everything.
        light: Direction (x, y, z) that light comes from; z points to the viewer.
        defocus: Radius of the blur of everything behind `focus`, in relative units.
        focus: Index of the first layer in focus.
        patches: Uneven light over the whole scene (spots of sun, shadows of things outside), or None.
        patch_strength, patch_softness: How much darker the shade is, and how soft its edge.
        cast: Colour cast, a factor for each channel.
        contrast, brightness: Of the camera.
        vignette: Darkening of the corners.
        noise: Standard deviation of the sensor noise, in grey levels.
        noise_seed: Chooses that noise.
    """

    layers: tuple[Layer, ...]
    light: tuple[float, float, float]
    defocus: float
    focus: int
    patches: Noise | None
    patch_strength: float
    patch_softness: float
    cast: tuple[float, float, float]
    contrast: float
    brightness: float
    vignette: float
    noise: float
    noise_seed: int


def plan(seed: int | tuple[int, int], aspect: float, config: SceneConfig) -> Layout:
    """The layout of a seed for pictures with aspect ratio width / height."""
    return _Planner(np.random.default_rng(seed), aspect, config).layout()


class _Planner:
    """Draws one layout; holds the generator, the palette and what has been placed so far."""

    def __init__(self, rng: np.random.Generator, aspect: float, config: SceneConfig) -> None:
        self.rng, self.config = rng, config
        self.width, self.height = math.sqrt(aspect), math.sqrt(1 / aspect)
        self.hues = rng.uniform(0, 1, int(rng.integers(2, 6)))
        self.vividness = rng.uniform(0.15, 0.85)
        self.direction = rng.uniform(0, 2 * np.pi) if self.chance(0.3) else rng.uniform(1.1, 2.04) * np.pi
        self.hardness = rng.uniform(0.0, 1.0)
        self.layers: list[Layer] = []

    # --- Small draws ---

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def log_uniform(self, low: float, high: float) -> float:
        return float(np.exp(self.rng.uniform(math.log(low), math.log(high))))

    def angle(self) -> float:
        """Any direction, with a preference for upright ones."""
        turn = self.rng.integers(0, 4) * np.pi / 2
        return float(turn + self.rng.normal(0, 0.05) if self.chance(0.4) else self.rng.uniform(0, 2 * np.pi))

    def noise(self, frequency: float, octaves: int = 1, gain: float = 0.5) -> Noise:
        return Noise(int(self.rng.integers(2**31)), (frequency, frequency), octaves, gain)

    def colour(self) -> Colour:
        rng = self.rng
        hue = rng.choice(self.hues) + rng.normal(0, 0.03) if self.chance(0.75) else rng.uniform()
        saturation = min(1.0, rng.beta(1.3, 1.8) * (0.4 + self.vividness))
        value = 0.06 + 0.92 * rng.beta(1.5, 1.2)
        return colorsys.hsv_to_rgb(float(hue % 1), float(saturation), float(value))

    def near(self, colour: Colour, spread: float) -> Colour:
        r, g, b = np.clip(np.array(colour) + self.rng.normal(0, spread) + self.rng.normal(0, spread / 2, 3), 0.02, 1)
        return float(r), float(g), float(b)

    def material(self, size: float, texture: str | None = None, colour: Colour | None = None) -> Material:
        rng = self.rng
        if colour is None:
            behind = self.chance(self.config.camouflaged) and len(self.layers) > 0
            background = self.layers[int(rng.integers(len(self.layers)))] if behind else None
            colour = self.near(background.material.colours[0], 0.1) if background else self.colour()
        if texture is None:
            texture = str(rng.choice(_PATTERNS)) if self.chance(self.config.textured) else "plain"
        second = self.near(colour, self.log_uniform(0.05, 0.25)) if self.chance(0.65) else self.colour()
        steep = rng.normal(0, 0.35) / size if self.chance(0.6) else 0.0
        steep = float(np.clip(steep, -1.2 / size, 1.2 / size))
        slope = rng.uniform(0, 2 * np.pi)
        return Material(
            texture=texture,
            colours=(colour, second),
            angle=self.angle(),
            period=min(self.log_uniform(0.05, 0.4) * size, 0.25),
            seed=int(rng.integers(2**31)),
            gradient=(steep * math.cos(slope), steep * math.sin(slope)),
            origin=(float(rng.uniform(0, self.width)), float(rng.uniform(0, self.height))),
            grain=float(rng.uniform(0.01, 0.1)) if self.chance(0.75) else 0.0,
            fineness=self.log_uniform(0.7, 8.0),
        )

    # --- Stuff ---

    def add_stuff(self, name: str, shape: Shape, textures: str, value: tuple[float, float] | None = None) -> None:
        rng = self.rng
        texture = str(rng.choice(textures.split())) if self.chance(0.75) else None
        colour = self.colour()
        if value:  # skies are bright, ground is dull: sometimes
            hue, saturation, _ = colorsys.rgb_to_hsv(*colour)
            colour = colorsys.hsv_to_rgb(hue, saturation, float(rng.uniform(*value)))
        material = self.material(1.0, texture, colour)
        material = replace(material, period=self.log_uniform(0.025, 0.35))
        if texture is not None and texture != "plain" and self.chance(0.6):
            material = replace(material, colours=(colour, self.near(colour, 0.09)))
        softness = self.log_uniform(0.001, 0.012) if self.chance(0.25) else 0.0
        self.layers.append(Layer(name, "stuff", shape, material, softness))

    def horizon(self, level: float, rough: float) -> Shape:
        """Everything below a wavy line at so much of the height."""
        angle = -np.pi / 2 + self.rng.normal(0, 0.04)
        relief = self.noise(self.log_uniform(1.0, 6.0), int(self.rng.integers(1, 6)))
        return Side(self.width / 2, self.height * level, float(angle), relief, rough)

    def landscape(self) -> None:
        rng = self.rng
        self.add_stuff("sky", Plane(), "plain cloudy plain", (0.55, 1.0))
        level = float(rng.uniform(0.15, 0.65))
        for _ in range(int(rng.integers(0, 3))):
            self.add_stuff("hill", self.horizon(level, self.log_uniform(0.01, 0.06)), "mottled plain cloudy marbled")
            level += float(rng.uniform(0.06, 0.2))
        if self.chance(0.35):
            self.add_stuff("trees", self.horizon(level, self.log_uniform(0.01, 0.03)), "mottled spotted", (0.1, 0.5))
            level += float(rng.uniform(0.05, 0.15))
        if self.chance(0.35):
            self.add_stuff("water", self.horizon(level, 0.001), "rippled rippled plain")
            level += float(rng.uniform(0.08, 0.3))
        if len(self.layers) == 1 or self.chance(0.7):
            rough = self.log_uniform(0.001, 0.03)
            self.add_stuff("ground", self.horizon(min(level, 0.9), rough), "grassy mottled plain tiled brick")
        if self.chance(0.25):
            left, lean = rng.uniform(0.1, 0.9) * self.width, rng.uniform(0.4, 1.2)
            road = Intersection(
                (
                    self.layers[-1].shape,
                    Side(float(left), self.height * level, float(lean / 2)),
                    Side(float(left) - 0.04, self.height * level, float(np.pi - lean / 2)),
                )
            )
            self.add_stuff("road", road, "plain mottled tiled")

    def room(self) -> None:
        rng = self.rng
        self.add_stuff("wall", Plane(), "plain plain brick striped wooden tiled cloudy")
        corner = float(rng.uniform(0.2, 0.8) * self.width)
        floor = float(rng.uniform(0.5, 0.85) * self.height)
        tilt = float(rng.normal(0, 0.15))
        if self.chance(0.4):
            side = Side(corner, 0.0, float(rng.choice([0.0, np.pi]) + rng.normal(0, 0.02)))
            self.add_stuff("wall", side, "plain plain brick striped wooden tiled cloudy")
        if self.chance(0.2):
            self.add_stuff("ceiling", Side(corner, float(rng.uniform(0.05, 0.2)), np.pi / 2 - tilt), "plain tiled")
        if self.chance(0.85):
            angles = (-np.pi / 2 + tilt, -np.pi / 2 - float(rng.uniform(0, 0.3)))
            sides: tuple[Shape, ...] = tuple(Side(corner, floor, float(a)) for a in angles)
            shape = sides[0] if self.chance(0.6) else Intersection(sides)
            self.add_stuff("floor", shape, "wooden tiled plain checked mottled brick")

    def areas(self) -> None:
        rng = self.rng
        count = int(rng.integers(2, 6))
        sites = [(float(x), float(y)) for x, y in rng.uniform(0, (self.width, self.height), (count, 2))]
        relief = self.noise(self.log_uniform(1.5, 6), 4) if self.chance(0.7) else None
        height = self.log_uniform(0.005, 0.05)
        self.add_stuff("area", Plane(), " ".join(TEXTURES))
        for k in range(1, count):
            # Later cells are painted over earlier ones, so that each border is drawn once and leaves no gap.
            cell: Shape = Cell(tuple(sites[k::-1]))
            self.add_stuff("area", Rough(cell, relief, height) if relief else cell, " ".join(TEXTURES))

    def backdrop(self) -> None:
        self.add_stuff("backdrop", Plane(), "plain cloudy plain mottled")

    # --- Things ---

    def outline(self, x: float, y: float, size: float) -> tuple[str, Shape]:
        """A compact thing of the given extent."""
        rng, r = self.rng, size / 2
        if self.chance(0.2):
            a, b = r, r * self.log_uniform(0.2, 1.0)
            name = "bar" if b < 0.35 * a else "box"
            shape: Shape = Box(x, y, a, b, self.angle(), float(rng.choice([0.0, 0.2, 0.5, 1.0]) * b))
        else:
            name = str(rng.choice(tuple(OUTLINES)))
            shape = Radial(x, y, self.angle(), OUTLINES[name](rng) * r)
        if self.chance(0.2):
            shape = Rough(shape, self.noise(self.log_uniform(1.0, 4.0) / size, 4), size * self.log_uniform(0.006, 0.05))
        if name in ("disc", "ellipse", "tile", "box", "star") and self.chance(0.15):
            return ("ring" if name in ("disc", "ellipse") else "frame"), Rim(
                shape, size * float(rng.uniform(0.06, 0.2))
            )
        if self.chance(0.06):
            turn, r = self.angle(), r * 0.9
            hole = Radial(x + r * 0.5 * math.cos(turn), y + r * 0.5 * math.sin(turn), 0.0, OUTLINES["disc"](rng) * r)
            return ("crescent" if name == "disc" else "bitten " + name), Difference(shape, hole)
        if self.chance(0.06):
            hole = Radial(x, y, 0.0, OUTLINES["disc"](rng) * (r * rng.uniform(0.15, 0.3)))
            return "pierced " + name, Difference(shape, hole)
        if self.chance(0.1) and name in ("disc", "ellipse", "box", "tile", "blob"):
            return self.compound(x, y, size, shape)
        return name, shape

    def compound(self, x: float, y: float, size: float, body: Shape) -> tuple[str, Shape]:
        """A body with a head, legs or a stalk, all of one entity."""
        rng, r = self.rng, size / 2
        kind = str(rng.choice(("animal", "figure", "lollipop")))
        if kind == "lollipop":
            return kind, Union((body, Strokes(((x, y, x + r * rng.normal(0, 0.2), y + 2.2 * r, 0.06 * r, 0.06 * r),))))
        side = float(rng.choice((-1, 1)))
        head_x, head_y = (x + side * 0.9 * r, y - 0.5 * r) if kind == "animal" else (x, y - 1.1 * r)
        head = Radial(head_x, head_y, 0.0, OUTLINES["ellipse"](rng) * (0.45 * r))
        legs = []
        for k in (-0.6, -0.3, 0.3, 0.6) if kind == "animal" else (-0.3, 0.3):
            thick = r * float(rng.uniform(0.06, 0.12))
            legs.append((x + k * r, y, x + k * r * rng.uniform(0.8, 1.4), y + r * rng.uniform(1.1, 1.5), thick, thick))
        return kind, Union((body, head, Strokes(tuple(legs))))

    def thin(self, x: float, y: float, size: float) -> tuple[str, Shape]:
        """A structure with parts much thinner than itself."""
        rng, r = self.rng, size / 2
        name = str(rng.choice(("railing", "wire", "branch", "foliage", "net", "glyph", "grille", "grass")))
        fine = size * self.log_uniform(0.008, 0.03)
        if name == "railing":
            tilt, w, h = float(rng.normal(0, 0.06)), r * 1.2, r * self.log_uniform(0.3, 0.8)
            outline = Box(x, y, w, h, tilt)
            along = np.array([math.cos(tilt), math.sin(tilt)])
            up = np.array([-along[1], along[0]])
            rails = []
            for level in (-0.98, 0.9) if self.chance(0.6) else (-0.98, -0.3, 0.4):
                a, b = (x, y) + up * h * level - along * w, (x, y) + up * h * level + along * w
                rails.append(_stroke(a, b, fine))
            posts = Bars(tilt, fine * float(rng.uniform(4, 9)), fine * float(rng.uniform(0.8, 1.4)))
            return name, Union((Intersection((outline, posts)), Strokes(tuple(rails))))
        if name in ("net", "grille"):
            outline = Box(x, y, r, r * self.log_uniform(0.4, 1), float(rng.normal(0, 0.3)), r * 0.1)
            tilt, period = self.angle(), fine * float(rng.uniform(5, 10))
            bars: tuple[Shape, ...] = (Bars(tilt, period, fine),)
            if name == "net":
                bars += (Bars(tilt + np.pi / 2, period, fine),)
            return name, Union((Intersection((outline, Union(bars))), Rim(outline, 1.6 * fine)))
        if name == "foliage":
            blob = Radial(x, y, 0.0, OUTLINES["blob"](rng) * r)
            leaves = Leaves(self.noise(self.log_uniform(10, 36) / size, 2), float(rng.uniform(-0.5, 0.3)))
            crown: Shape = Rough(blob, self.noise(5 / size, 3), 0.05 * size)
            twigs = Strokes(self.twigs(x, y + 1.3 * r, -np.pi / 2, 1.4 * r, 0.05 * r, 3))
            crown = Intersection((crown, leaves))
            return ("tree", Union((crown, twigs))) if self.chance(0.5) else (name, crown)
        if name == "branch":
            start = self.angle()
            limbs = self.twigs(x - r * math.cos(start), y - r * math.sin(start), start, 1.1 * r, 1.5 * fine, 4)
            return name, Strokes(limbs)
        if name == "grass":
            blades = []
            for _ in range(int(rng.integers(12, 40))):
                foot = x + r * rng.uniform(-1, 1)
                tip = foot + r * rng.normal(0, 0.25)
                blades.append((foot, y + r * 0.5, tip, y + r * 0.5 - r * rng.uniform(0.4, 1.3), fine, fine * 0.3))
            return name, Strokes(tuple(blades))
        strokes: list[Stroke] = []
        if name == "wire":
            fine = self.log_uniform(0.001, 0.004)
            lines = int(rng.integers(1, 5))
            y0, y1, sag = y + rng.normal(0, 0.1), y + rng.normal(0, 0.1), rng.uniform(0, 0.15)
            t = np.linspace(0, 1, 13)
            xs = t * (self.width + 0.2) - 0.1
            for k in range(lines):
                ys = y0 + (y1 - y0) * t + sag * 4 * t * (1 - t) + k * fine * 8
                strokes += [_stroke(p, q, fine) for p, q in pairwise(np.stack((xs, ys), 1))]
            return ("wires" if lines > 1 else "wire"), Strokes(tuple(strokes))
        thick = size * self.log_uniform(0.025, 0.08)
        points = rng.uniform(-0.45, 0.45, (int(rng.integers(3, 6)), 2)) * size + (x, y)
        if self.chance(0.5):  # letters prefer upright strokes
            points[1:, 0] = np.where(np.arange(1, len(points)) % 2, points[:-1, 0], points[1:, 0])
        strokes = [_stroke(p, q, thick) for p, q in pairwise(points)]
        return name, Strokes(tuple(strokes))

    def twigs(self, x: float, y: float, angle: float, length: float, thick: float, depth: int) -> tuple[Stroke, ...]:
        """A branching structure that starts at (x, y)."""
        rng = self.rng
        part = length * 0.45
        x1, y1 = x + part * math.cos(angle), y + part * math.sin(angle)
        out = [(float(x), float(y), float(x1), float(y1), thick, thick * 0.65)]
        if depth:
            for turn in (-1, 1) if self.chance(0.6) else (-1, 0, 1):
                bend = angle + turn * rng.uniform(0.25, 0.8) + rng.normal(0, 0.1)
                out += self.twigs(x1, y1, float(bend), length * rng.uniform(0.6, 0.8), thick * 0.6, depth - 1)
        return tuple(out)

    def shadow(self, size: float, name: str) -> Shadow | None:
        if self.chance(0.45):
            return None
        reach = size * self.rng.uniform(0, 0.3) * self.hardness
        softness = max(0.004, size * float(self.rng.uniform(0.02, 0.25)))
        if name in _WITH_STROKES:
            softness = min(softness, STROKE_REACH)
        dx, dy = -reach * math.cos(self.direction), -reach * math.sin(self.direction)
        return Shadow(dx, dy, softness, float(self.rng.uniform(0.25, 0.7)))

    def thing(self, x: float, y: float, size: float) -> Layer:
        rng = self.rng
        name, shape = (self.thin if self.chance(self.config.thin) else self.outline)(x, y, size)
        layer = Layer(name, "thing", shape, self.material(size))
        if self.chance(0.65):
            bevel = size * (self.log_uniform(0.02, 0.15) if self.chance(0.4) else 0.5)
            if isinstance(shape, Radial):  # deeper inside, the distance to a lobed outline has spokes
                bevel = min(bevel, 0.8 * float(shape.radii.min()))
            layer = replace(layer, bevel=float(bevel), relief=float(rng.uniform(0.15, 0.7)))
            if self.chance(0.3):
                layer = replace(layer, gloss=float(rng.uniform(0.2, 0.7)))
        softness = min(self.log_uniform(0.001, 0.008), 0.05 * size) if self.chance(0.2) else 0.0
        return replace(layer, softness=softness, shadow=self.shadow(size, name))

    def things(self) -> None:
        rng, config = self.rng, self.config
        count = round(self.log_uniform(*config.things))
        sizes = [self.log_uniform(*config.size) for _ in range(count)]
        # Large things tend to be behind, or nothing else would be seen.
        sizes.sort(key=lambda s: float(-math.log(s) + rng.normal(0, 0.6)))
        standing = self.layers[0].name in ("sky", "wall") and self.chance(0.5)
        while sizes and count > 0:
            size = sizes.pop(0)
            x, y = float(rng.uniform(0, self.width)), float(rng.uniform(0, self.height))
            if standing:
                y = self.height * float(rng.uniform(0.3, 1.0)) - size / 2
            thing = self.thing(x, y, size)
            copies = min(int(rng.integers(2, 8)), count) if self.chance(config.grouped) else 1
            heading, spacing = self.angle(), size * float(rng.uniform(0.5, 1.3))
            colour_spread = float(rng.uniform(0, 0.06))
            for k in range(copies):
                if k:
                    step = spacing * k + rng.normal(0, 0.1) * size
                    thing = self.again(thing, x + step * math.cos(heading), y + step * math.sin(heading), size)
                    thing = replace(thing, material=self.vary(thing.material, colour_spread))
                self.layers.append(thing)
            count -= copies
            if size > 0.12 and self.chance(config.nested):
                count -= self.nest(len(self.layers) - 1, x, y, size)

    def again(self, thing: Layer, x: float, y: float, size: float) -> Layer:
        """A look-alike of a thing elsewhere; things with one centre are moved, others drawn anew."""
        scale = float(self.rng.uniform(0.8, 1.2))
        if isinstance(thing.shape, Radial):
            shape: Shape = replace(thing.shape, x=x, y=y, angle=self.angle(), radii=thing.shape.radii * scale)
            return replace(thing, shape=shape)
        if isinstance(thing.shape, Box):
            return replace(thing, shape=replace(thing.shape, x=x, y=y))
        name, shape = self.outline(x, y, size)
        return replace(thing, name=name, shape=shape)

    def vary(self, material: Material, spread: float) -> Material:
        first, second = (self.near(c, spread) for c in material.colours)
        return replace(material, colours=(first, second), seed=int(self.rng.integers(2**31)))

    def nest(self, parent: int, x: float, y: float, size: float) -> int:
        """Smaller things that lie on a thing and do not reach over its outline."""
        rng, host = self.rng, self.layers[parent]
        count = int(rng.integers(1, 5))
        for _ in range(count):
            part = size * self.log_uniform(0.12, 0.4)
            turn, far = rng.uniform(0, 2 * np.pi), 0.3 * size * math.sqrt(rng.uniform())
            name, shape = self.outline(x + far * math.cos(turn), y + far * math.sin(turn), part)
            clipped = Intersection((shape, host.shape))
            layer = Layer(name, "thing", clipped, self.material(part), parent=parent)
            self.layers.append(replace(layer, bevel=part * 0.1, relief=0.3) if self.chance(0.4) else layer)
        return count

    # --- Everything ---

    def layout(self) -> Layout:
        rng, config = self.rng, self.config
        kinds = (self.landscape, self.room, self.areas, self.backdrop)
        kinds[int(rng.choice(4, p=(0.35, 0.3, 0.22, 0.13)))]()
        stuff = len(self.layers)
        self.things()
        del self.layers[40:]
        high = rng.uniform(0.4, 0.9)
        flat = math.sqrt(1 - high**2)
        blurred = self.chance(config.blurred)
        patches = self.noise(self.log_uniform(1.0, 5.0), int(rng.integers(1, 4))) if self.chance(0.3) else None
        cast = np.exp(rng.normal(0.05, 0.08, 3)) if self.chance(0.5) else np.ones(3)
        return Layout(
            layers=tuple(self.layers),
            light=(flat * math.cos(self.direction), flat * math.sin(self.direction), float(high)),
            defocus=self.log_uniform(0.002, 0.014) if blurred else 0.0,
            focus=int(rng.integers(stuff, stuff + 1 + (len(self.layers) - stuff) // 3)) if blurred else 0,
            patches=patches,
            patch_strength=float(rng.uniform(0.15, 0.55)),
            patch_softness=self.log_uniform(0.1, 1.5),
            cast=(float(cast[0]), float(cast[1]), float(cast[2])),
            contrast=float(rng.uniform(0.6, 1.15)),
            brightness=float(rng.normal(0.03, 0.06)),
            vignette=float(rng.uniform(0, 0.5)) if self.chance(0.3) else 0.0,
            noise=float(rng.uniform(0, config.noise)) if self.chance(0.7) else 0.0,
            noise_seed=int(rng.integers(2**31)),
        )


def _stroke(start: np.ndarray, end: np.ndarray, radius: float) -> Stroke:
    return (float(start[0]), float(start[1]), float(end[0]), float(end[1]), radius, radius)
