"""Exports a visitor's edits as a ComfyUI workflow."""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from esg import RecordedEdit, Segmentation, Selection, edit_workflow, interior_point

from .editing import Area, brushed
from .message import Stroke
from .visit import Visit


def needs_files(visit: Visit, strokes: tuple[Stroke, ...]) -> bool:
    """Whether the workflow needs pictures besides the visitor's photo: uploaded masks, masks made with the brush, or a
    photo that is itself the result of edits. They are exported together with it, in a ZIP."""
    brushed = bool(strokes) or any(change.edit.area.strokes for change in visit.changes)
    return not visit.model or visit.made or brushed


def write_workflow(
    path: Path, visit: Visit, shown: int, selected: tuple[int, ...], strokes: tuple[Stroke, ...] = ()
) -> None:
    """Writes the edits, and the current selection, as a workflow.

    Args:
        path: the file to write; ends in .json, or in .zip if `needs_files` is True.
        visit: a visit whose photo has entities.
        shown: how many entities the page shows.
        selected: ids of the selected entities.
        strokes: brush strokes that add to the selection or erase from it.

    Raises:
        InputError: an id does not exist, or the workflow cannot express a value.
    """
    entities = visit.need_entities()
    masks: dict[str, np.ndarray] = {}
    photo = {visit.file: visit.photo} if visit.made and visit.photo is not None else {}

    def selection(area: Area) -> Selection:
        if visit.model and not area.strokes:
            points = tuple(interior_point(entities, number)[:2] for number in area.ids)
            return Selection(tuple((int(x), int(y)) for x, y in points), None, area.invert, area.soft)
        name = f"{visit.name}.mask-{len(masks) + 1}.png"
        covered = entities.mask(area.ids) if area.ids else np.zeros(entities.labels.shape, bool)
        masks[name] = brushed(covered, area.strokes)
        return Selection((), name, area.invert, area.soft)

    edits = [
        RecordedEdit(
            selection(change.edit.area),
            prompt=change.edit.prompt or None,
            paint=change.edit.paint,
            crop=change.crop,
            model=change.edit.model if change.edit.prompt else None,
        )
        for change in visit.changes
    ]
    now = None
    if selected or strokes:
        now = selection(Area(tuple(entities.checked_ids(selected).tolist()), strokes))
    # Every entity that was shown or edited must exist in ComfyUI, too, whatever the model's own minimum score is.
    last = max([shown, *selected, *(number for change in visit.changes for number in change.edit.area.ids)])
    least = math.floor(100 * entities.scores[last - 1]) / 100 if last > 0 else None
    segmentation = Segmentation(visit.model, visit.crops, least) if visit.model else None
    text = json.dumps(edit_workflow(visit.file, segmentation, edits, selection=now))
    if not needs_files(visit, strokes):
        path.write_text(text, encoding="utf-8")
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{visit.name}.comfyui.json", text)
        for name, picture in (photo | masks).items():
            content = io.BytesIO()
            Image.fromarray(picture).save(content, "png")
            archive.writestr(name, content.getvalue())
