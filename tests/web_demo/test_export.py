"""What a visitor did, as a workflow of ComfyUI."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esg import CropSettings, EntityMap, MaskSettings, PaintSettings
from esg.comfyui_graphs import check, edit_definitions, edit_graph
from web_demo import export
from web_demo.editing import Area, Edit
from web_demo.export import write_workflow
from web_demo.visit import Visit

PAINT = PaintSettings("plastic", 7, 0.75, 3.5, 11, 0.25)
CROP = CropSettings(target=512, multiple=8, grow=3, feather=2, fill_holes=False)


@pytest.fixture
def visit(pixels: np.ndarray, quarters: EntityMap) -> Visit:
    """Entities 1 and 2 were replaced, then 3 was removed."""
    visit = Visit()
    visit.begin("my cat.jpg", pixels.copy())
    visit.know(quarters, model="cropformer-nano", crops=8)
    edit(visit)
    return visit


def edit(visit: Visit) -> None:
    area, how = Area((1, 2), invert=True, soft=True), MaskSettings(3, 2, False)
    visit.change(Edit(area, "a (red) hat", how, PAINT, "someone/model"), CROP, visit.need_photo() // 2)
    visit.change(Edit(Area((3,)), paint=PAINT), CropSettings(target=0), visit.need_photo() // 2)


Api = dict[str, dict[str, Any]]


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Api]:
    """Also keeps every workflow that is made in the form that runs."""
    made: list[Api] = []
    real = export.edit_workflow

    def workflow(*given: Any, **options: Any) -> dict[str, Any]:
        made.append(edit_graph(*given, **options).to_api())
        return real(*given, **options)

    monkeypatch.setattr(export, "edit_workflow", workflow)
    return made


def inputs_of(api: Api, kind: str) -> list[dict[str, Any]]:
    return [node["inputs"] for node in api.values() if node["class_type"] == kind]


def picked(api: Api) -> list[list[tuple[int, int]]]:
    """The points of every Pick Entities."""
    texts = [inputs["picks"] for inputs in inputs_of(api, "ESGPickEntities")]
    return [[(point["x"], point["y"]) for point in json.loads(text)] for text in texts]


def test_a_workflow_does_what_was_done(visit: Visit, graphs: list[Api], quarters: EntityMap, tmp_path: Path) -> None:
    write_workflow(tmp_path / "workflow.json", visit, 3, (2,))
    workflow = json.loads((tmp_path / "workflow.json").read_text())
    assert {node["type"] for node in workflow["nodes"]} >= {"ESGPickEntities", "KSampler", "ESGInpaintOpenCV"}
    (api,) = graphs
    check(api, edit_definitions())
    meant = [[quarters.at(x, y) for x, y in points] for points in picked(api)]
    assert meant == [[1, 2], [3], [2]]
    first, second = inputs_of(api, "ESGMaskToInpaint")
    assert (first["target"], first["grow"], first["feather"], first["fill_holes"]) == (512, 3, 2, False)
    assert (second["target"], second["grow"]) == (0, 8)
    (sampler,) = inputs_of(api, "KSampler")
    assert [sampler[name] for name in ("seed", "steps", "cfg", "denoise")] == [11, 7, 3.5, 0.75]
    assert [inputs["match_colour"] for inputs in inputs_of(api, "ESGInpaintStitch")] == [0.25, 0.0]
    assert len(inputs_of(api, "InvertMask")) == len(inputs_of(api, "ESGRefineEdges")) == 1
    note = json.dumps(workflow)
    assert "someone/model" in note
    assert "my cat.jpg" in note


@pytest.mark.parametrize(("shown", "selected", "least"), [(3, (), 0.4), (2, (), 0.6), (1, (1,), 0.7), (0, (), -1)])
def test_entities_that_are_hidden_are_dropped(
    visit: Visit, graphs: list[Api], tmp_path: Path, shown: int, selected: tuple[int, ...], least: float
) -> None:
    visit.changes.clear()
    visit.know(EntityMap.from_labels(visit.need_entities().labels, [0.709, 0.6, 0.404]), model="cropformer-nano")
    write_workflow(tmp_path / "workflow.json", visit, shown, selected)
    ((segmented,),) = [inputs_of(api, "ESGSegmentEntities") for api in graphs]
    assert (segmented["crops"], segmented["min_score"]) == ("0", least)


def test_entities_that_were_edited_are_kept(visit: Visit, graphs: list[Api], tmp_path: Path) -> None:
    write_workflow(tmp_path / "workflow.json", visit, 1, ())
    ((segmented,),) = [inputs_of(api, "ESGSegmentEntities") for api in graphs]
    assert (segmented["crops"], segmented["min_score"]) == ("8", 0.4)


def test_nothing_done_and_nothing_selected_is_a_workflow_too(visit: Visit, graphs: list[Api], tmp_path: Path) -> None:
    visit.changes.clear()
    write_workflow(tmp_path / "workflow.json", visit, 3, ())
    check(graphs[0], edit_definitions())


def test_masks_of_ones_own_lie_beside_the_workflow(
    visit: Visit, graphs: list[Api], quarters: EntityMap, tmp_path: Path
) -> None:
    visit.know(quarters)
    edit(visit)
    write_workflow(tmp_path / "workflow.zip", visit, 3, (2,))
    (api,) = graphs
    check(api, edit_definitions())
    assert picked(api) == []
    names = [inputs["image"] for inputs in inputs_of(api, "LoadImageMask")]
    with zipfile.ZipFile(tmp_path / "workflow.zip") as archive:
        assert archive.namelist() == ["my cat.edited.comfyui.json", "my cat.edited.png", *names]
        assert np.array_equal(np.asarray(Image.open(archive.open("my cat.edited.png"))), visit.photo)
        assert json.loads(archive.read(archive.namelist()[0]))["nodes"]
        for name, ids in zip(names, [(1, 2), (3,), (2,)]):
            mask = np.asarray(Image.open(archive.open(name)).convert("RGB"))
            assert np.array_equal(mask[..., 0], np.where(quarters.mask(ids), 255, 0))  # LoadImageMask reads red
