"""Turns a selection into a mask, and a mask into an edited photo."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw

from esg import (
    CropSettings,
    DiffusionInpainting,
    EntityMap,
    Inpainter,
    InputError,
    MaskSettings,
    PaintSettings,
    Progress,
    choose,
    cut_for_inpainting,
    soft_alpha,
)

from .message import Stroke

SOFT_WIDTH = 8  # pixels of the photo in which to look for a soft edge
MASK_COLOUR, MASK_STRENGTH = (255, 45, 85), 0.6


@dataclass(frozen=True)
class Area:
    """A part of a photo.

    Attributes:
        ids: the entities in it.
        strokes: brush strokes that add to these entities or erase parts of them.
        invert: whether the area is everything except that.
        soft: whether its edge follows the edges in the photo, see `esg.soft_alpha`.
    """

    ids: tuple[int, ...] = ()
    strokes: tuple[Stroke, ...] = ()
    invert: bool = False
    soft: bool = False

    def check(self) -> None:
        """Raises InputError if there is nothing in it."""
        if not self.ids and not any(stroke.add for stroke in self.strokes):
            raise InputError("Select at least one entity first, on the picture or in the table.")

    def filled(self, settings: MaskSettings) -> MaskSettings:
        """The settings for this area: a hole made with the brush stays a hole."""
        return replace(settings, fill_holes=settings.fill_holes and all(stroke.add for stroke in self.strokes))


@dataclass(frozen=True)
class Edit:
    """One edit.

    Attributes:
        area: what is edited.
        prompt: what to paint there; empty: it is removed.
        mask: how the area grows and fades.
        paint: how the model paints.
        model: the diffusion model; empty if there is no prompt.
    """

    area: Area
    prompt: str = ""
    mask: MaskSettings = field(default_factory=MaskSettings)
    paint: PaintSettings = field(default_factory=PaintSettings)
    model: str = ""

    def check(self) -> None:
        """Raises InputError if the settings are invalid, before the model is loaded."""
        if not self.prompt:
            return
        if not self.model:
            raise InputError("Choose a diffusion model first.")
        self.paint.check(self.prompt)


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


def mask_of(pixels: np.ndarray, entities: EntityMap, area: Area, progress: Progress | None = None) -> np.ndarray:
    """The mask of an area before it is grown: (H, W) bool, or with a soft edge float32 from 0 to 1.

    Raises:
        InputError: nothing is selected, or nothing is left of the selection.
    """
    area.check()
    mask = brushed(entities.mask(area.ids) if area.ids else np.zeros(entities.labels.shape, bool), area.strokes)
    if area.invert:
        mask = ~mask
    if not mask.any():
        why = "everything is selected and the mask is inverted" if area.invert else "the brush erased the whole mask"
        raise InputError(f"Nothing is left to edit: {why}.")
    return soft_alpha(pixels, mask, width=SOFT_WIDTH, progress=progress) if area.soft else mask


def mask_picture(
    pixels: np.ndarray, entities: EntityMap, area: Area, settings: MaskSettings, longest: int
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
    inside[entities.checked_ids(area.ids)] = True
    mask = brushed(inside[labels], area.strokes)
    small = np.zeros((*labels.shape, 4), np.uint8)
    if not mask.any() or (area.invert and mask.all()):
        return small
    mask = mask ^ area.invert
    if area.soft:
        mask = soft_alpha(np.ascontiguousarray(pixels), mask, width=max(1, round(SOFT_WIDTH * scale)))
    settings = area.filled(settings)
    settings = replace(settings, grow=round(settings.grow * scale), feather=round(settings.feather * scale))
    crop = replace(settings.crop(None), context=1.0)
    blend = cut_for_inpainting(np.ascontiguousarray(pixels), mask, crop).stitch.full_mask
    small[..., :3] = MASK_COLOUR
    small[..., 3] = np.rint(255 * MASK_STRENGTH * blend)
    return small


def edited(
    pixels: np.ndarray,
    entities: EntityMap,
    edit: Edit,
    engine: DiffusionInpainting | None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, CropSettings]:
    """The photo after one edit, (H, W, 3) uint8, and the settings of the crop that the engine worked on.

    Outside the mask and its soft edge, not a single bit of the photo changes.

    Args:
        pixels: (H, W, 3) uint8 RGB, with all earlier edits.
        entities: the photo's entities.
        edit: the edit to apply.
        engine: the diffusion model; None if the edit has no prompt.
        progress: called during soft edges and painting; an exception that it raises ends the work.
    """
    mask = mask_of(pixels, entities, edit.area, progress)
    settings = edit.area.filled(edit.mask)
    inpainter, limit = Inpainter(engine), mask.size  # the page has checked the photo's size already
    if engine is None:
        result = inpainter.remove(pixels, mask, settings, max_pixels=limit)
    else:
        result = inpainter.repaint(pixels, mask, edit.prompt, settings, edit.paint, max_pixels=limit, progress=progress)
    return result, settings.crop(engine)


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
            message = error.sentence.message
            raise InputError(f"Step {number}: {message[:1].lower()}{message[1:]}", error.sentence.advice) from None
        steps.append((ids, prompt.strip()))
    if not steps:
        raise InputError("The list is empty; write a line such as: 3, 5 = a blue dress.")
    return steps
