"""What a visitor did, as a ComfyUI workflow."""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from esg import RecordedEdit, Segmentation, Selection, edit_workflow, interior_point

from .editing import Area, Stroke, brushed
from .visit import Visit


def needs_files(visit: Visit, strokes: tuple[Stroke, ...]) -> bool:
    """Whether the workflow is about pictures that only the page has: masks of the visitor's own or made with the
    brush, or a photo that is itself the result of edits. They travel with it in a ZIP."""
    brushed = bool(strokes) or any(change.edit.area.strokes for change in visit.changes)
    return not visit.model or visit.made or brushed


def write_workflow(
    path: Path, visit: Visit, shown: int, selected: tuple[int, ...], strokes: tuple[Stroke, ...] = ()
) -> None:
    """Writes the edits, and what is selected now, as a workflow.

    Args:
        path: of the file; ends in .json, or in .zip where it `needs_files`.
        visit: whose photo has entities.
        shown: how many of them the page shows.
        selected: ids.
        strokes: of the brush, which add to them and take away.

    Raises:
        InputError: an id does not exist, or ComfyUI has no such value.
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
    # All that was shown or edited has to be there in ComfyUI, too, whatever the model's own least score is.
    last = max([shown, *selected, *(number for change in visit.changes for number in change.edit.area.ids)])
    least = math.floor(100 * entities.scores[last - 1]) / 100 if last > 0 else None
    taken_apart = Segmentation(visit.model, visit.crops, least) if visit.model else None
    text = json.dumps(edit_workflow(visit.file, taken_apart, edits, selection=now))
    if not needs_files(visit, strokes):
        path.write_text(text, encoding="utf-8")
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{visit.name}.comfyui.json", text)
        for name, picture in (photo | masks).items():
            content = io.BytesIO()
            Image.fromarray(picture).save(content, "png")
            archive.writestr(name, content.getvalue())
