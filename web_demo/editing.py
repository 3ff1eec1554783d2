"""Turns a selection into a mask, and a mask into an edited photo."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from esg import (
    CropSettings,
    DiffusionInpainting,
    EntityMap,
    InputError,
    choose,
    cut_for_inpainting,
    remove_with_opencv,
    soft_alpha,
    stitch_back,
)
from esg.inpaint.engines.diffusion import check_painting

Report = Callable[[int, int, str], None]

OPENCV_CONTEXT = 1.5  # OpenCV uses only the pixels along the rim of a hole
SOFT_WIDTH = 8  # pixels of the photo in which to look for a soft edge
MOST_POINTS = 20_000  # of all brush strokes together
WIDEST_BRUSH = 0.12  # the largest radius that the page offers, as a fraction of the picture's width
MASK_COLOUR, MASK_STRENGTH = (255, 45, 85), 0.6


@dataclass(frozen=True)
class MaskSettings:
    """How a selection becomes a mask.

    Attributes:
        grow, feather: as in `CropSettings`, in pixels of the photo.
        fill: whether to fill holes.
        invert: whether the mask is everything except the selection.
        soft: whether the mask's edge follows the edges in the photo, see `esg.soft_alpha`.
    """

    grow: int = 8
    feather: int = 4
    fill: bool = True
    invert: bool = False
    soft: bool = False


@dataclass(frozen=True)
class Stroke:
    """One stroke of a brush over a mask.

    Attributes:
        add: whether it adds to the mask or erases from it.
        radius: radius of the brush, as a fraction of the picture's width.
        points: its path, x and y as fractions of the picture's width and height; at least one point.
    """

    add: bool
    radius: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Painting:
    """How a diffusion model paints; see `esg.DiffusionInpainting`, and for `match_colour` `esg.stitch_back`."""

    model: str
    negative: str = ""
    steps: int = 25
    strength: float = 1.0
    guidance: float = 7.5
    seed: int = 0
    match_colour: float = 0.5

    @property
    def options(self) -> dict[str, Any]:
        """The model's options besides the prompt."""
        return {
            "negative": self.negative,
            "steps": self.steps,
            "strength": self.strength,
            "guidance": self.guidance,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Edit:
    """One edit: removes the entities `ids`, changed by brush strokes, or repaints them if there is a `prompt`."""

    ids: tuple[int, ...]
    prompt: str
    mask: MaskSettings
    painting: Painting
    strokes: tuple[Stroke, ...] = ()

    def check(self) -> None:
        """Raises InputError if the settings are invalid, before the model is loaded."""
        if not self.prompt:
            return
        if not self.painting.model:
            raise InputError("Choose a diffusion model first.")
        check_painting(self.prompt, **self.painting.options)


def read_strokes(data: Iterable[Any]) -> tuple[Stroke, ...]:
    """Reads brush strokes that came over the network.

    Raises:
        InputError: there are too many.
        ValueError, KeyError, TypeError: they are invalid.
    """
    strokes = tuple(_stroke(one) for one in data)
    if sum(len(stroke.points) for stroke in strokes) > MOST_POINTS:
        raise InputError("There are too many brush strokes; apply the edit, then continue.")
    return strokes


def _stroke(data: Any) -> Stroke:
    points = tuple((float(x), float(y)) for x, y in data["points"])
    radius = float(data["radius"])
    if not points or not 0 < radius <= WIDEST_BRUSH or not all(-1 <= part <= 2 for point in points for part in point):
        raise ValueError  # also for NaN
    return Stroke(bool(data["add"]), radius, points)


def need_selection(ids: tuple[int, ...], strokes: tuple[Stroke, ...]) -> None:
    """Raises InputError if neither an entity nor a brush stroke could make a mask."""
    if not ids and not any(stroke.add for stroke in strokes):
        raise InputError("Select at least one entity first, on the picture or in the table.")


def brushed(mask: np.ndarray, strokes: tuple[Stroke, ...]) -> np.ndarray:
    """The mask, (H, W) bool, after brush strokes, applied one after another."""
    if not strokes:
        return mask
    height, width = mask.shape
    canvas = Image.fromarray(mask.astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    for stroke in strokes:
        radius, fill = max(0.5, stroke.radius * width), int(stroke.add)
        points = [(x * width - 0.5, y * height - 0.5) for x, y in stroke.points]  # pixel centres are whole here
        if len(points) > 1:
            draw.line(points, fill=fill, width=max(1, round(2 * radius)))
        for x, y in points:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    return np.asarray(canvas).astype(bool)


def mask_of(
    pixels: np.ndarray,
    entities: EntityMap,
    ids: tuple[int, ...],
    how: MaskSettings,
    report: Report | None = None,
    strokes: tuple[Stroke, ...] = (),
) -> np.ndarray:
    """The mask of a selection before it is grown: (H, W) bool, or with a soft edge float32 from 0 to 1.

    Raises:
        InputError: nothing is selected, or nothing is left of the selection.
    """
    need_selection(ids, strokes)
    mask = brushed(entities.mask(ids) if ids else np.zeros(entities.labels.shape, bool), strokes)
    if how.invert:
        mask = ~mask
    if not mask.any():
        why = "everything is selected and the mask is inverted" if how.invert else "the brush erased the whole mask"
        raise InputError(f"Nothing is left to edit: {why}.")
    return soft_alpha(pixels, mask, width=SOFT_WIDTH, progress=report) if how.soft else mask


def mask_picture(
    pixels: np.ndarray,
    entities: EntityMap,
    ids: tuple[int, ...],
    how: MaskSettings,
    longest: int,
    strokes: tuple[Stroke, ...] = (),
) -> np.ndarray:
    """A preview of an edit's mask to lay over the photo, (h, w, 4) uint8 RGBA.

    To be fast, it is computed at the size of the photo in the browser, whose longest side has at most `longest` pixels.

    Raises:
        InputError: an id does not exist.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, longest / max(height, width))
    rows = ((np.arange(max(1, round(height * scale))) + 0.5) / scale).astype(int).clip(max=height - 1)
    columns = ((np.arange(max(1, round(width * scale))) + 0.5) / scale).astype(int).clip(max=width - 1)
    pixels, labels = pixels[rows[:, None], columns], entities.labels[rows[:, None], columns]
    inside = np.zeros(len(entities) + 1, bool)
    inside[entities.checked_ids(ids)] = True
    mask = brushed(inside[labels], strokes)
    small = np.zeros((*labels.shape, 4), np.uint8)
    if not mask.any() or (how.invert and mask.all()):
        return small
    mask = mask ^ how.invert
    if how.soft:
        mask = soft_alpha(np.ascontiguousarray(pixels), mask, width=max(1, round(SOFT_WIDTH * scale)))
    settings = crop_settings(how, strokes=strokes, target=0, multiple=1, context=1.0, scale=scale)
    blend = cut_for_inpainting(np.ascontiguousarray(pixels), mask, settings).stitch.full_mask
    small[..., :3] = MASK_COLOUR
    small[..., 3] = np.rint(255 * MASK_STRENGTH * blend)
    return small


def edited(
    pixels: np.ndarray,
    entities: EntityMap,
    edit: Edit,
    engine: DiffusionInpainting | None,
    report: Report | None = None,
) -> tuple[np.ndarray, CropSettings]:
    """The photo after one edit, (H, W, 3) uint8, and the settings of the crop that the engine worked on.

    Outside the mask and its soft edge, not a single bit of the photo changes.

    Args:
        pixels: (H, W, 3) uint8 RGB, with all earlier edits.
        entities: the photo's entities.
        edit: the edit to apply.
        engine: the diffusion model; None if the edit has no prompt.
        report: called with the progress; an exception that it raises ends the work.
    """
    mask = mask_of(pixels, entities, edit.ids, edit.mask, report, edit.strokes)
    if engine is None:
        settings = crop_settings(edit.mask, strokes=edit.strokes, target=0, multiple=1, context=OPENCV_CONTEXT)
        crop = cut_for_inpainting(pixels, mask, settings)
        return stitch_back(pixels, crop.stitch, remove_with_opencv(crop.picture, crop.generation)), settings
    settings = crop_settings(edit.mask, strokes=edit.strokes, target=engine.size, multiple=engine.multiple)
    crop = cut_for_inpainting(pixels, mask, settings)
    made = engine(crop.picture, crop.generation, edit.prompt, **edit.painting.options, progress=report)
    assert made is not None  # None only if it was asked to stop
    return stitch_back(pixels, crop.stitch, made, edit.painting.match_colour), settings


def read_steps(text: str, entities: EntityMap, **more: object) -> list[tuple[tuple[int, ...], str]]:
    """Reads a list of steps, one per line: `3, 5 = a blue dress`, or `largest 2 =` to remove.

    The text before the first `=` chooses entities, see `esg.choose`, which receives `more`.

    Returns:
        Ids and prompt of each step.

    Raises:
        InputError: a line is not a valid step; the message gives the line's number.
    """
    steps = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        what, equals, prompt = line.partition("=")
        if what.rstrip().endswith((">", "<")):  # the = of a comparison: area>=5% = moss
            rest, equals, prompt = prompt.partition("=")
            what = f"{what}={rest}"
        try:
            if not equals:
                raise InputError("write entities = prompt, as in: 3, 5 = a blue dress.")
            ids = tuple(choose(entities, what.strip(), **more))  # type: ignore[arg-type]
            if not ids:
                raise InputError(f"no entity matches {what.strip()!r}.")
        except InputError as error:
            sentence = str(error)
            raise InputError(f"Step {number}: {sentence[:1].lower()}{sentence[1:]}") from None
        steps.append((ids, prompt.strip()))
    if not steps:
        raise InputError("The list is empty; write a line such as: 3, 5 = a blue dress.")
    return steps


def crop_settings(
    how: MaskSettings,
    *,
    strokes: tuple[Stroke, ...] = (),
    target: int,
    multiple: int,
    context: float = CropSettings().context,
    scale: float = 1.0,
) -> CropSettings:
    """The settings of the crop for an engine; `scale` is the scale of a photo that was made smaller.

    Holes are not filled if the brush has erased anything, since a hole may have been made with it.
    """
    return CropSettings(
        target=target,
        multiple=multiple,
        context=context,
        grow=round(how.grow * scale),
        feather=round(how.feather * scale),
        fill_holes=how.fill and all(stroke.add for stroke in strokes),
    )
