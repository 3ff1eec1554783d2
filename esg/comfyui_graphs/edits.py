"""The ComfyUI workflow of a selection and edits that were made elsewhere, such as on the page.

Entities are selected by points inside them rather than by number, so that the same things are selected when the photo
is segmented again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from ..inpaint.frame import CropSettings
from ..inpaint.settings import PaintSettings
from ..support.errors import InputError, WeightsError
from ..weights.catalogue import CHECKPOINTS, SUFFIXES, Checkpoint, checkpoint_named
from .blocks import SD15_INPAINTING, VERSIONS, inpaint, load_checkpoint, pick, save, segment, stitch
from .check import check
from .definitions import edit_definitions
from .graph import FIXED, Graph, Node, NodeOutput
from .ui import to_ui

_MULTIPLES = (8, 16, 64)  # the choices of Mask to Inpaint


@dataclass(frozen=True)
class Segmentation:
    """The settings that a photo was segmented with.

    Attributes:
        model: name of the segmenter, or its file, of which only the name is written.
        crops: number of high-resolution crops besides the full view: 0, 4 or 8.
        min_score: minimum score of an entity, 0..1; None: the model's default.
    """

    model: str = "cropformer-nano"
    crops: int = 4
    min_score: float | None = None


@dataclass(frozen=True)
class Selection:
    """A selection in a photo.

    Attributes:
        points: x, y in pixels, at least one in every selected entity, as from `esg.interior_point`.
        mask: name of a file to use instead of points, white inside the selection, for masks that do not come from one
            of our segmenters.
        invert: whether all other pixels are selected instead, including background.
        soft: whether the edges follow the picture, as with `esg.soft_alpha`.
    """

    points: Sequence[tuple[int, int]] = ()
    mask: str | None = None
    invert: bool = False
    soft: bool = False


@dataclass(frozen=True)
class RecordedEdit:
    """An edit of a selection: repainted, or removed with OpenCV.

    Attributes:
        selection: the area.
        prompt: description of the new content; None: it was removed, and `paint` does not matter.
        paint: how it was painted. In ComfyUI, `strength` is called "denoise" and `guidance` "cfg".
        crop: what the engine got to see, and how far the mask was grown and feathered.
        model: the diffusion model, for the note to the reader; of a folder only the name is written. None: it is not
            mentioned.
    """

    selection: Selection
    prompt: str | None = None
    paint: PaintSettings = field(default_factory=PaintSettings)
    crop: CropSettings = field(default_factory=CropSettings)
    model: str | None = None


def edit_workflow(
    photo: str,
    segmentation: Segmentation | None,
    edits: Sequence[RecordedEdit] = (),
    *,
    selection: Selection | None = None,
) -> dict[str, Any]:
    """The workflow of edits for ComfyUI: JSON to save as a file and drop onto its canvas.

    The same edits give the same workflow. It always uses Stable Diffusion 1.5 inpainting, whichever model was used.

    Args:
        photo: file name of the photo, which the user loads into ComfyUI.
        segmentation: how it was segmented; None if masks came from elsewhere and all selections name their file.
        edits: the edits in order: each works on the result of the previous one, with the entities of the original
            photo.
        selection: a selection without an edit, which is shown. None: nothing, unless there are no edits.

    Raises:
        InputError: a file name is missing, points are given without a segmentation, or a value is out of a node's
            range; the message names the node and its input.

    >>> removed = RecordedEdit(Selection(points=((40, 30),)))
    >>> workflow = edit_workflow("photo.jpg", Segmentation(), [removed])
    >>> {"ESGPickEntities", "ESGInpaintOpenCV"} <= {node["type"] for node in workflow["nodes"]}
    True
    """
    graph = edit_graph(photo, segmentation, edits, selection=selection)
    return to_ui(graph, json.dumps(graph.to_api()), VERSIONS)


def edit_graph(
    photo: str,
    segmentation: Segmentation | None,
    edits: Sequence[RecordedEdit] = (),
    *,
    selection: Selection | None = None,
) -> Graph:
    """The same as a graph, which also has the API format; see `edit_workflow`."""
    if selection is None and not edits:
        selection = Selection()
    selections = [edit.selection for edit in edits] + ([selection] if selection else [])
    _check_names(photo, segmentation, selections)
    by_points = segmentation if any(selection.mask is None for selection in selections) else None
    graph = Graph(edit_definitions())
    graph.group("Take the photo apart" if by_points else "Load the photo")
    graph.note(_instructions(photo, by_points, selections, edits), "What this does")
    image = graph.add("LoadImage", {"image": photo})["IMAGE"]
    entities = _segmented(graph, image, by_points) if by_points else None
    checkpoint = None  # shared by all edits, or ComfyUI would load it once per edit
    for number, edit in enumerate(edits, start=1):
        graph.group(f"Edit {number}: select it", new_row=True)
        mask = _selected(graph, image, entities, edit.selection)
        graph.group(f"Edit {number}: " + ("remove it" if edit.prompt is None else "repaint it (SD 1.5 inpainting)"))
        cut = graph.add("ESGMaskToInpaint", {"image": image, "mask": mask, **_crop_inputs(edit.crop)})
        if edit.prompt is None:
            hole = {"image": cut["crop"], "mask": cut["generation_mask"], "grow": 0}
            made = graph.add("ESGInpaintOpenCV", hole)["image"]
        else:
            checkpoint = checkpoint or load_checkpoint(graph, SD15_INPAINTING)
            made = _repainted(graph, checkpoint, cut, edit.prompt, edit.paint)
        colours = 0.0 if edit.prompt is None else edit.paint.match_colour
        image = stitch(graph, image, made, cut, {"match_colour": colours})
    if edits:
        save(graph, image, "esg/edited")
    if selection:
        graph.group("Select it", new_row=bool(edits))
        mask = _selected(graph, image, entities, selection)
        graph.group("Look at it")
        shown = graph.add("MaskToImage", {"mask": mask})["IMAGE"]
        graph.add("PreviewImage", {"images": shown}, title="The selection")
    check(graph.to_api(), edit_definitions())
    return graph


def _check_names(photo: str, segmentation: Segmentation | None, selections: Sequence[Selection]) -> None:
    if not photo.strip():
        raise InputError("A workflow needs the name of the photo's file, such as photo.jpg.")
    for selection in selections:
        if selection.mask is None and segmentation is None:
            raise InputError(
                "Without a segmentation the workflow cannot find entities by points; give the name of a file with the "
                "selection's mask instead."
            )
        if selection.mask is not None and not selection.mask.strip():
            raise InputError("A workflow needs the name of the mask's file, such as photo.mask.png.")


def _segmented(graph: Graph, image: NodeOutput, segmentation: Segmentation) -> NodeOutput:
    score = -1 if segmentation.min_score is None else segmentation.min_score
    settings = {"crops": str(segmentation.crops), "min_score": score}
    return segment(graph, image, {"model": _model(segmentation.model)[0]}, settings)


def _model(name: str) -> tuple[str, Checkpoint | None]:
    """The loader's name for a model: a listed model by its name, another one by its file name."""
    path = _path(name)
    if path.suffix.lower() in SUFFIXES:
        return (path.stem, CHECKPOINTS[path.stem]) if path.stem in CHECKPOINTS else (path.name, None)
    try:
        known = checkpoint_named(name)
    except WeightsError:  # a folder
        return path.name, None
    return known.name, known


def _path(name: str) -> PurePath:
    """A path in the syntax of any operating system."""
    return PurePath(name.replace("\\", "/"))


def _selected(graph: Graph, image: NodeOutput, entities: NodeOutput | None, selection: Selection) -> NodeOutput:
    """The MASK of a selection."""
    if entities is None or selection.mask is not None:
        mask = graph.add("LoadImageMask", {"image": selection.mask, "channel": "red"})["MASK"]
    else:
        points = [{"x": int(x), "y": int(y)} for x, y in selection.points]
        mask = pick(graph, image, entities, json.dumps(points) if points else "")["mask"]
    if selection.invert:
        mask = graph.add("InvertMask", {"mask": mask})["MASK"]
    if selection.soft:
        mask = graph.add("ESGRefineEdges", {"image": image, "mask": mask})["mask"]
    return mask


def _crop_inputs(crop: CropSettings) -> dict[str, Any]:
    multiple = next((offered for offered in _MULTIPLES if offered % crop.multiple == 0), None)
    if multiple is None:
        raise InputError(f"In ComfyUI the sides of a crop can be multiples of 8, 16 or 64, not of {crop.multiple}.")
    return {
        "target": crop.target,
        "multiple": str(multiple),
        "context": crop.context,
        "grow": crop.grow,
        "feather": crop.feather,
        "fill_holes": crop.fill_holes,
    }


def _repainted(graph: Graph, checkpoint: Node, cut: Node, prompt: str, paint: PaintSettings) -> NodeOutput:
    settings = {"seed": paint.seed, "steps": paint.steps, "cfg": paint.guidance, "denoise": paint.strength}
    return inpaint(graph, checkpoint, cut, _plain(prompt), _plain(paint.negative), settings, FIXED)


def _plain(prompt: str) -> str:
    """Escapes a prompt: in ComfyUI, parentheses give words more weight unless preceded by a backslash."""
    return re.sub(r"([()])", r"\\\1", prompt)


def _instructions(
    photo: str, segmentation: Segmentation | None, selections: Sequence[Selection], edits: Sequence[RecordedEdit]
) -> str:
    parts = [f"Drop the file `{photo}` on **Load Image**, and run."]
    masks = dict.fromkeys(selection.mask for selection in selections if selection.mask is not None)
    if masks:
        names = ", ".join(f"`{name}`" for name in masks)
        parts.append(f"Before that, drop {names} on **Load Image (as Mask)**: white is what is selected.")
    if segmentation:
        name, known = _model(segmentation.model)
        if known is None:
            parts.append(
                f"The photo was segmented with a model of your own: put `{name}` into `models/entityseg`, or choose "
                "another one in **Load Segmenter**."
            )
        elif not known.shipped:
            parts.append(
                f"If the weights of {name} ({known.licence}) are not in `models/entityseg` yet, switch `download` on "
                "in **Load Segmenter**."
            )
        parts.append("**Pick Entities** finds what was selected by points; click there to change it.")
    if any(edit.prompt is not None for edit in edits):
        parts.append(_about_checkpoint([edit.model for edit in edits if edit.prompt is not None and edit.model]))
    return "\n\n".join(parts)


def _about_checkpoint(models: Sequence[str]) -> str:
    names = dict.fromkeys(_path(name).name if _is_path(name) else name for name in models)
    before = f"The edits were made with {', '.join(f'`{name}`' for name in names)}. " if names else ""
    return (
        f"{before}**Load Checkpoint** takes Stable Diffusion 1.5 for inpainting, or any other checkpoint for "
        "inpainting that you choose there. Even with the same model and seed, pictures are others here than elsewhere."
    )


def _is_path(model: str) -> bool:
    """Whether it is a local folder, unlike `owner/name` on a hub."""
    return model.startswith(("/", "~", ".")) or "\\" in model or ":" in model
