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
        things: Minimum and maximum number of things that are placed; some are then hidden by others.
        size: Minimum and maximum extent of a thing, relative to the square root of the picture's area; log-uniform.
        thin: Share of things that are thin structures (railings, wires, branches, nets, ...).
        textured: Share of things with a pattern instead of a plain colour.
        camouflaged: Share of things coloured like something behind them.
        nested: Share of things with smaller things on them.
        grouped: Share of things that come in groups of look-alikes.
        blurred: Share of scenes with a background out of focus.
        noise: Maximum standard deviation of the sensor noise, in grey levels.
        min_share: Minimum visible share of the picture; smaller entities are left out.
        min_pixels: The same in pixels; the larger of the two limits applies.
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
        name, kind: Name of the entity, and "thing" or "stuff".
        shape, material: Its shape, and the look of its surface.
        softness: Width of its boundary, in relative units, added to one pixel.
        bevel, relief: Within `bevel` of the outline the surface curves, which changes shading by the amount `relief`.
        gloss: Strength of the highlight.
        shadow: The shadow that it casts on everything behind it.
        parent: Index of the layer that it lies on as a part or a pattern, -1 for none.
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
        layers: Entities from back to front; stuff comes before things, and the first layer covers everything.
        light: Direction (x, y, z) that light comes from; z points to the viewer.
        defocus: Radius of the blur of everything behind `focus`, in relative units.
        focus: Index of the first layer in focus.
        patches: Uneven light over the whole scene (spots of sun, shadows of things outside), or None.
        patch_strength, patch_softness: Darkness of the shade, and softness of its edge.
        cast: Colour cast, a factor for each channel.
        contrast, brightness: Settings of the camera.
        vignette: Darkening of the corners.
        noise: Standard deviation of the sensor noise, in grey levels.
        noise_seed: Random seed of that noise.
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
