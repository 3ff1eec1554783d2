"""A synthetic scene as data: shapes, materials, light and camera; and the settings that scenes are drawn from.

All lengths are relative (see `shapes`), so that a layout is the same at every resolution. `planner` draws layouts,
`synth` paints them.
"""

from __future__ import annotations

from dataclasses import dataclass

from .noise import Noise
from .shapes import Shape
from .textures import Material


@dataclass(frozen=True)
class SceneConfig:
    """The distribution that scenes are drawn from.

    Attributes:
        things: minimum and maximum number of things that are placed; some are then hidden by others.
        size: minimum and maximum extent of a thing, relative to the square root of the picture's area; log-uniform.
        thin: share of things that are thin structures (railings, wires, branches, nets, ...).
        textured: share of things with a pattern instead of a plain colour.
        camouflaged: share of things coloured like something behind them.
        nested: share of things with smaller things on them.
        grouped: share of things that come in groups of look-alikes.
        blurred: share of scenes with a background out of focus.
        noise: maximum standard deviation of the sensor noise, in grey levels.
        min_share: minimum visible share of the picture; smaller entities are left out.
        min_pixels: the same in pixels; the larger of the two limits applies.
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
        name, kind: name of the entity, and "thing" or "stuff".
        shape, material: its shape, and the look of its surface.
        softness: width of its boundary, in relative units, added to one pixel.
        bevel, relief: within `bevel` of the outline the surface curves, which changes shading by the amount `relief`.
        gloss: strength of the highlight.
        shadow: the shadow that it casts on everything behind it.
        parent: index of the layer that it lies on as a part or a pattern, -1 for none.
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
        layers: entities from back to front; stuff comes before things, and the first layer covers everything.
        light: direction (x, y, z) that light comes from; z points to the viewer.
        defocus: radius of the blur of everything behind `focus`, in relative units.
        focus: index of the first layer in focus.
        patches: uneven light over the whole scene (spots of sun, shadows of things outside), or None.
        patch_strength, patch_softness: darkness of the shade, and softness of its edge.
        cast: colour cast, a factor for each channel.
        contrast, brightness: settings of the camera.
        vignette: darkening of the corners.
        noise: standard deviation of the sensor noise, in grey levels.
        noise_seed: random seed of that noise.
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
