"""Draws a layout from a seed: stuff, things, light and camera, in this order.

A layout depends only on the seed, the picture's aspect ratio and the configuration. `things` draws the single things.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import replace

import numpy as np

from .draws import Draws
from .layout import Layer, Layout, SceneConfig, Shadow
from .shapes import STROKE_REACH, Box, Cell, Intersection, Plane, Radial, Rough, Shape, Side
from .textures import TEXTURES, Colour, Material
from .things import WITH_STROKES, compact, thin

_PATTERNS = tuple(t for t in TEXTURES if t != "plain")


def plan(seed: int | tuple[int, int], aspect: float, config: SceneConfig) -> Layout:
    """The layout of a seed for pictures with aspect ratio width / height."""
    return _Planner(Draws(seed), aspect, config).layout()


class _Planner:
    """Draws one layout; holds the generator, the palette and the layers placed so far."""

    def __init__(self, rng: Draws, aspect: float, config: SceneConfig) -> None:
        self.rng, self.config = rng, config
        self.width, self.height = math.sqrt(aspect), math.sqrt(1 / aspect)
        self.hues = rng.uniform(0, 1, int(rng.integers(2, 6)))
        self.vividness = rng.uniform(0.15, 0.85)
        self.direction = rng.uniform(0, 2 * np.pi) if rng.chance(0.3) else rng.uniform(1.1, 2.04) * np.pi
        self.hardness = rng.uniform(0.0, 1.0)
        self.layers: list[Layer] = []

    # --- Materials ---

    def colour(self) -> Colour:
        rng = self.rng
        hue = rng.choice(self.hues) + rng.normal(0, 0.03) if rng.chance(0.75) else rng.uniform()
        saturation = min(1.0, rng.beta(1.3, 1.8) * (0.4 + self.vividness))
        value = 0.06 + 0.92 * rng.beta(1.5, 1.2)
        return colorsys.hsv_to_rgb(float(hue % 1), float(saturation), float(value))

    def near(self, colour: Colour, spread: float) -> Colour:
        rng = self.rng
        r, g, b = np.clip(np.array(colour) + rng.normal(0, spread) + rng.normal(0, spread / 2, 3), 0.02, 1)
        return float(r), float(g), float(b)

    def material(self, size: float, texture: str | None = None, colour: Colour | None = None) -> Material:
        rng = self.rng
        if colour is None:
            behind = rng.chance(self.config.camouflaged) and len(self.layers) > 0
            background = self.layers[int(rng.integers(len(self.layers)))] if behind else None
            colour = self.near(background.material.colours[0], 0.1) if background else self.colour()
        if texture is None:
            texture = str(rng.choice(_PATTERNS)) if rng.chance(self.config.textured) else "plain"
        second = self.near(colour, rng.log_uniform(0.05, 0.25)) if rng.chance(0.65) else self.colour()
        steep = rng.normal(0, 0.35) / size if rng.chance(0.6) else 0.0
        steep = float(np.clip(steep, -1.2 / size, 1.2 / size))
        slope = rng.uniform(0, 2 * np.pi)
        return Material(
            texture=texture,
            colours=(colour, second),
            angle=rng.angle(),
            period=min(rng.log_uniform(0.05, 0.4) * size, 0.25),
            seed=int(rng.integers(2**31)),
            gradient=(steep * math.cos(slope), steep * math.sin(slope)),
            origin=(float(rng.uniform(0, self.width)), float(rng.uniform(0, self.height))),
            grain=float(rng.uniform(0.01, 0.1)) if rng.chance(0.75) else 0.0,
            fineness=rng.log_uniform(0.7, 8.0),
        )

    # --- Stuff ---

    def add_stuff(self, name: str, shape: Shape, textures: str, value: tuple[float, float] | None = None) -> None:
        rng = self.rng
        texture = str(rng.choice(textures.split())) if rng.chance(0.75) else None
        colour = self.colour()
        if value:  # in some scenes, a bright sky or a dull ground
            hue, saturation, _ = colorsys.rgb_to_hsv(*colour)
            colour = colorsys.hsv_to_rgb(hue, saturation, float(rng.uniform(*value)))
        material = self.material(1.0, texture, colour)
        material = replace(material, period=rng.log_uniform(0.025, 0.35))
        if texture is not None and texture != "plain" and rng.chance(0.6):
            material = replace(material, colours=(colour, self.near(colour, 0.09)))
        softness = rng.log_uniform(0.001, 0.012) if rng.chance(0.25) else 0.0
        self.layers.append(Layer(name, "stuff", shape, material, softness))

    def horizon(self, level: float, rough: float) -> Shape:
        """Everything below a wavy line at this fraction of the height."""
        rng = self.rng
        angle = -np.pi / 2 + rng.normal(0, 0.04)
        relief = rng.noise(rng.log_uniform(1.0, 6.0), int(rng.integers(1, 6)))
        return Side(self.width / 2, self.height * level, float(angle), relief, rough)

    def landscape(self) -> None:
        rng = self.rng
        self.add_stuff("sky", Plane(), "plain cloudy plain", (0.55, 1.0))
        level = float(rng.uniform(0.15, 0.65))
        for _ in range(int(rng.integers(0, 3))):
            self.add_stuff("hill", self.horizon(level, rng.log_uniform(0.01, 0.06)), "mottled plain cloudy marbled")
            level += float(rng.uniform(0.06, 0.2))
        if rng.chance(0.35):
            self.add_stuff("trees", self.horizon(level, rng.log_uniform(0.01, 0.03)), "mottled spotted", (0.1, 0.5))
            level += float(rng.uniform(0.05, 0.15))
        if rng.chance(0.35):
            self.add_stuff("water", self.horizon(level, 0.001), "rippled rippled plain")
            level += float(rng.uniform(0.08, 0.3))
        if len(self.layers) == 1 or rng.chance(0.7):
            rough = rng.log_uniform(0.001, 0.03)
            self.add_stuff("ground", self.horizon(min(level, 0.9), rough), "grassy mottled plain tiled brick")
        if rng.chance(0.25):
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
        if rng.chance(0.4):
            side = Side(corner, 0.0, float(rng.choice([0.0, np.pi]) + rng.normal(0, 0.02)))
            self.add_stuff("wall", side, "plain plain brick striped wooden tiled cloudy")
        if rng.chance(0.2):
            self.add_stuff("ceiling", Side(corner, float(rng.uniform(0.05, 0.2)), np.pi / 2 - tilt), "plain tiled")
        if rng.chance(0.85):
            angles = (-np.pi / 2 + tilt, -np.pi / 2 - float(rng.uniform(0, 0.3)))
            sides: tuple[Shape, ...] = tuple(Side(corner, floor, float(a)) for a in angles)
            shape = sides[0] if rng.chance(0.6) else Intersection(sides)
            self.add_stuff("floor", shape, "wooden tiled plain checked mottled brick")

    def areas(self) -> None:
        rng = self.rng
        count = int(rng.integers(2, 6))
        sites = [(float(x), float(y)) for x, y in rng.uniform(0, (self.width, self.height), (count, 2))]
        relief = rng.noise(rng.log_uniform(1.5, 6), 4) if rng.chance(0.7) else None
        height = rng.log_uniform(0.005, 0.05)
        self.add_stuff("area", Plane(), " ".join(TEXTURES))
        for k in range(1, count):
            # Later cells are painted over earlier ones, so that each border is drawn once and has no gap.
            cell: Shape = Cell(tuple(sites[k::-1]))
            self.add_stuff("area", Rough(cell, relief, height) if relief else cell, " ".join(TEXTURES))

    def backdrop(self) -> None:
        self.add_stuff("backdrop", Plane(), "plain cloudy plain mottled")

    # --- Things ---

    def shadow(self, size: float, name: str) -> Shadow | None:
        rng = self.rng
        if rng.chance(0.45):
            return None
        reach = size * rng.uniform(0, 0.3) * self.hardness
        softness = max(0.004, size * float(rng.uniform(0.02, 0.25)))
        if name in WITH_STROKES:
            softness = min(softness, STROKE_REACH)
        dx, dy = -reach * math.cos(self.direction), -reach * math.sin(self.direction)
        return Shadow(dx, dy, softness, float(rng.uniform(0.25, 0.7)))

    def thing(self, x: float, y: float, size: float) -> Layer:
        rng = self.rng
        if rng.chance(self.config.thin):
            name, shape = thin(rng, x, y, size, self.width)
        else:
            name, shape = compact(rng, x, y, size)
        layer = Layer(name, "thing", shape, self.material(size))
        if rng.chance(0.65):
            bevel = size * (rng.log_uniform(0.02, 0.15) if rng.chance(0.4) else 0.5)
            if isinstance(shape, Radial):  # deeper inside, the distance to a lobed outline has spokes
                bevel = min(bevel, 0.8 * float(shape.radii.min()))
            layer = replace(layer, bevel=float(bevel), relief=float(rng.uniform(0.15, 0.7)))
            if rng.chance(0.3):
                layer = replace(layer, gloss=float(rng.uniform(0.2, 0.7)))
        softness = min(rng.log_uniform(0.001, 0.008), 0.05 * size) if rng.chance(0.2) else 0.0
        return replace(layer, softness=softness, shadow=self.shadow(size, name))

    def things(self) -> None:
        rng, config = self.rng, self.config
        count = round(rng.log_uniform(*config.things))
        sizes = [rng.log_uniform(*config.size) for _ in range(count)]
        # Large things tend to be at the back, or they would hide everything else.
        sizes.sort(key=lambda s: float(-math.log(s) + rng.normal(0, 0.6)))
        standing = self.layers[0].name in ("sky", "wall") and rng.chance(0.5)
        while sizes and count > 0:
            size = sizes.pop(0)
            x, y = float(rng.uniform(0, self.width)), float(rng.uniform(0, self.height))
            if standing:
                y = self.height * float(rng.uniform(0.3, 1.0)) - size / 2
            thing = self.thing(x, y, size)
            copies = min(int(rng.integers(2, 8)), count) if rng.chance(config.grouped) else 1
            heading, spacing = rng.angle(), size * float(rng.uniform(0.5, 1.3))
            colour_spread = float(rng.uniform(0, 0.06))
            for k in range(copies):
                if k:
                    step = spacing * k + rng.normal(0, 0.1) * size
                    thing = self.again(thing, x + step * math.cos(heading), y + step * math.sin(heading), size)
                    thing = replace(thing, material=self.vary(thing.material, colour_spread))
                self.layers.append(thing)
            count -= copies
            if size > 0.12 and rng.chance(config.nested):
                count -= self.nest(len(self.layers) - 1, x, y, size)

    def again(self, thing: Layer, x: float, y: float, size: float) -> Layer:
        """A look-alike of a thing elsewhere; radial shapes and boxes are moved, others are drawn again."""
        rng = self.rng
        scale = float(rng.uniform(0.8, 1.2))
        if isinstance(thing.shape, Radial):
            shape: Shape = replace(thing.shape, x=x, y=y, angle=rng.angle(), radii=thing.shape.radii * scale)
            return replace(thing, shape=shape)
        if isinstance(thing.shape, Box):
            return replace(thing, shape=replace(thing.shape, x=x, y=y))
        name, shape = compact(rng, x, y, size)
        return replace(thing, name=name, shape=shape)

    def vary(self, material: Material, spread: float) -> Material:
        first, second = (self.near(c, spread) for c in material.colours)
        return replace(material, colours=(first, second), seed=int(self.rng.integers(2**31)))

    def nest(self, parent: int, x: float, y: float, size: float) -> int:
        """Places smaller things on a thing, clipped to its outline."""
        rng, host = self.rng, self.layers[parent]
        count = int(rng.integers(1, 5))
        for _ in range(count):
            part = size * rng.log_uniform(0.12, 0.4)
            turn, far = rng.uniform(0, 2 * np.pi), 0.3 * size * math.sqrt(rng.uniform())
            name, shape = compact(rng, x + far * math.cos(turn), y + far * math.sin(turn), part)
            clipped = Intersection((shape, host.shape))
            layer = Layer(name, "thing", clipped, self.material(part), parent=parent)
            self.layers.append(replace(layer, bevel=part * 0.1, relief=0.3) if rng.chance(0.4) else layer)
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
        blurred = rng.chance(config.blurred)
        patches = rng.noise(rng.log_uniform(1.0, 5.0), int(rng.integers(1, 4))) if rng.chance(0.3) else None
        cast = np.exp(rng.normal(0.05, 0.08, 3)) if rng.chance(0.5) else np.ones(3)
        return Layout(
            layers=tuple(self.layers),
            light=(flat * math.cos(self.direction), flat * math.sin(self.direction), float(high)),
            defocus=rng.log_uniform(0.002, 0.014) if blurred else 0.0,
            focus=int(rng.integers(stuff, stuff + 1 + (len(self.layers) - stuff) // 3)) if blurred else 0,
            patches=patches,
            patch_strength=float(rng.uniform(0.15, 0.55)),
            patch_softness=rng.log_uniform(0.1, 1.5),
            cast=(float(cast[0]), float(cast[1]), float(cast[2])),
            contrast=float(rng.uniform(0.6, 1.15)),
            brightness=float(rng.normal(0.03, 0.06)),
            vignette=float(rng.uniform(0, 0.5)) if rng.chance(0.3) else 0.0,
            noise=float(rng.uniform(0, config.noise)) if rng.chance(0.7) else 0.0,
            noise_seed=int(rng.integers(2**31)),
        )
