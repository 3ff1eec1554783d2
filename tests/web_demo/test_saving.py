"""The files that a visitor takes away."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from esg import CropSettings, EntityMap, Grounding, InputError, Metadata, OutputError, Phrase, read_image, read_photo
from web_demo.editing import Area, Edit, brushed
from web_demo.message import Chosen, DownloadRequest, read_strokes
from web_demo.saving import FILES, save
from web_demo.visit import Visit

GROUNDING = Grounding("a red <b>square</b>", (Phrase("red <b>square</b>", (2, 19), (1,), (0.9,)),))


@pytest.fixture
def visit(pixels: np.ndarray, quarters: EntityMap) -> Visit:
    """Of `my cat.jpg`, which was taken apart and grounded."""
    visit = Visit()
    visit.begin("my cat.jpg", pixels.copy())
    visit.know(quarters, model="cropformer-nano", crops=4)
    visit.grounding = GROUNDING
    return visit


def wish(what: str, **other: Any) -> dict[str, Any]:
    """What a browser asks for that shows no entities yet, unless `other` says so."""
    chosen = {"selected": [], "shown": 3, "map_number": 0, "picture": 1}
    return {"what": what, "opacity": 0.5, "numbers": False, **chosen, **other}


def saved(visit: Visit, what: str, name: str, **other: Any) -> Path:
    """The file that is written, which has to have this name."""
    path = Path(save(visit, wish(what, map_number=visit.map_number, **other)))
    assert path.name == name
    return path


def test_entities_come_back_as_they_are_shown(visit: Visit, quarters: EntityMap) -> None:
    assert EntityMap.from_labels_png(saved(visit, "labels", "my cat.labels.png")) == quarters
    assert EntityMap.from_coco(saved(visit, "coco", "my cat.entities.json", shown=1)) == quarters.keep([1])


def test_the_entities_name_their_photo_as_the_command_does(visit: Visit) -> None:
    (image,) = json.loads(saved(visit, "coco", "my cat.entities.json").read_text())["images"]
    assert image["file_name"] == "my cat.jpg"


def masks_in(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: np.asarray(Image.open(archive.open(name))) for name in archive.namelist()}


def test_masks_of_all_entities_or_of_those_that_are_selected(visit: Visit, quarters: EntityMap) -> None:
    masks = masks_in(saved(visit, "masks", "my cat.masks.zip"))
    assert list(masks) == ["my cat.1.png", "my cat.2.png", "my cat.3.png"]
    for number, mask in enumerate(masks.values(), start=1):
        assert np.array_equal(mask, quarters.mask(number))
    assert list(masks_in(saved(visit, "masks", "my cat.masks.zip", selected=[3]))) == ["my cat.3.png"]
    assert list(masks_in(saved(visit, "masks", "my cat.masks.zip", shown=2))) == ["my cat.1.png", "my cat.2.png"]


def test_masks_of_many_entities_stay_in_their_order(visit: Visit) -> None:
    visit.know(EntityMap.from_labels(np.tile(np.arange(120) // 10 + 1, (80, 1))))
    names = list(masks_in(saved(visit, "masks", "my cat.masks.zip", shown=12)))
    assert names == sorted(names)
    assert (names[0], names[-1]) == ("my cat.01.png", "my cat.12.png")


def test_the_overlay_colours_what_is_shown(visit: Visit, pixels: np.ndarray) -> None:
    shown = read_image(saved(visit, "overlay", "my cat.overlay.jpg", shown=2, opacity=1.0)).astype(int)
    assert np.abs(shown - pixels).mean(axis=2)[50:70, 70:110].mean() < 15  # nothing lies there
    assert np.abs(shown - pixels).mean(axis=2)[50:70, 10:50].mean() < 15  # entity 3 is hidden
    assert shown[10:30, 10:50].std(axis=(0, 1)).max() < 5  # one colour


def test_the_cut_out_is_clear_around_the_selection(visit: Visit, pixels: np.ndarray) -> None:
    cutout = np.asarray(Image.open(saved(visit, "cutout", "my cat.cutout.png", selected=[2, 3])))
    assert cutout.shape == (80, 120, 4)
    alpha = np.zeros((80, 120), bool)
    alpha[:40, 60:] = alpha[40:, :60] = True
    assert np.array_equal(cutout[..., 3], np.where(alpha, 255, 0))
    assert np.array_equal(cutout[alpha, :3], pixels[alpha])


def test_words_are_taken_away_as_data_and_as_a_page(visit: Visit) -> None:
    assert Grounding.from_json(saved(visit, "grounding", "my cat.grounding.json")) == GROUNDING
    page = saved(visit, "page", "my cat.grounding.html").read_text(encoding="utf-8")
    assert "my cat" in page
    assert "<b>square</b>" not in page  # the words of others are no markup
    visit.grounding = None
    for what in ("grounding", "page"):
        with pytest.raises(InputError, match=r"^Ground some words first"):
            save(visit, wish(what, map_number=visit.map_number))


@pytest.mark.parametrize("what", sorted({*FILES} - {"result"}))
def test_files_of_entities_that_are_not_those_of_the_browser_are_refused(
    visit: Visit, quarters: EntityMap, what: str
) -> None:
    before = wish(what, selected=[1], map_number=visit.map_number)
    assert Path(save(visit, before)).is_file()
    visit.know(quarters, model="cropformer-nano", crops=8)
    visit.grounding = GROUNDING
    with pytest.raises(InputError, match=r"^The entities have changed in the meantime; "):
        save(visit, before)
    assert Path(save(visit, wish("result"))).is_file()  # which is not about them


def edit(visit: Visit) -> np.ndarray:
    """Paints the first entity white."""
    edited = visit.need_photo().copy()
    edited[:40, :60] = 255
    visit.change(Edit(Area((1,))), CropSettings(target=0), edited)
    return edited


def test_the_photo_with_its_edits(visit: Visit, pixels: np.ndarray) -> None:
    assert np.array_equal(read_image(saved(visit, "result", "my cat.edited.png")), pixels)
    edited = edit(visit)
    assert np.array_equal(read_image(saved(visit, "result", "my cat.edited.png")), edited)
    cutout = np.asarray(Image.open(saved(visit, "cutout", "my cat.cutout.png", selected=[1])))
    assert (cutout[..., :3][cutout[..., 3] == 255] == 255).all()


LEFT_STROKE = {"add": False, "radius": 0.05, "points": [[0, 0.25], [1, 0.25]]}  # from left to right through 1 and 2
RIGHT_BELOW = {"add": True, "radius": 0.05, "points": [[0.75, 0.75]]}  # where nothing is


def test_cut_out_and_mask_are_as_the_brush_has_left_them(visit: Visit, pixels: np.ndarray, quarters: EntityMap) -> None:
    strokes = [LEFT_STROKE, RIGHT_BELOW]
    expected = brushed(quarters.mask([1]), read_strokes(strokes))
    assert not expected[20, 30]
    assert expected[60, 90]
    masks = masks_in(saved(visit, "masks", "my cat.masks.zip", selected=[1], strokes=strokes))
    assert list(masks) == ["my cat.selection.png"]
    assert np.array_equal(masks["my cat.selection.png"], expected)
    cutout = np.asarray(Image.open(saved(visit, "cutout", "my cat.cutout.png", selected=[1], strokes=strokes)))
    rows, columns = np.flatnonzero(expected.any(1)), np.flatnonzero(expected.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    assert np.array_equal(cutout[..., 3] == 255, expected[box])
    assert np.array_equal(cutout[..., :3][expected[box]], pixels[expected])


def test_the_brush_needs_no_entity(visit: Visit) -> None:
    cutout = np.asarray(Image.open(saved(visit, "cutout", "my cat.cutout.png", strokes=[RIGHT_BELOW])))
    assert (cutout[..., 3] == 255).sum() == brushed(np.zeros((80, 120), bool), read_strokes([RIGHT_BELOW])).sum()
    with pytest.raises(InputError, match=r"^Select at least one entity first"):
        save(visit, wish("cutout", map_number=visit.map_number, strokes=[LEFT_STROKE]))


def test_a_workflow_of_a_brushed_selection_is_a_zip_with_its_mask(visit: Visit, quarters: EntityMap) -> None:
    path = saved(visit, "workflow", "my cat.comfyui.zip", selected=[1], strokes=[LEFT_STROKE])
    with zipfile.ZipFile(path) as archive:
        mask = np.asarray(Image.open(archive.open("my cat.mask-1.png")))
    assert np.array_equal(mask, brushed(quarters.mask([1]), read_strokes([LEFT_STROKE])))


def test_what_the_photo_s_file_says_is_kept(pixels: np.ndarray, quarters: EntityMap, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x8298] = "Somebody"  # whose copyright
    text = PngInfo()
    text.add_text("Title", "Quarters")
    alpha = np.full((80, 120), 255, np.uint8)
    alpha[:10] = 128
    source = tmp_path / "cat.png"
    Image.fromarray(np.dstack([pixels, alpha])).save(source, exif=exif, dpi=(240, 240), pnginfo=text)
    visit, photo = Visit(), read_photo(source)
    visit.begin("cat.png", photo.pixels, photo.metadata, photo.rgba)
    edit(visit)
    visit.know(quarters)  # which makes the edited photo the photo
    for what, name in (("result", "cat.edited.edited.png"), ("cutout", "cat.edited.cutout.png")):
        with Image.open(saved(visit, what, name, selected=[1])) as written:
            assert written.getexif()[0x8298] == "Somebody"
            assert written.info["dpi"] == pytest.approx((240, 240), abs=0.1)
            assert written.text["Title"] == "Quarters"  # type: ignore[attr-defined]
            assert np.array_equal(np.asarray(written)[:40, :60, 3], alpha[:40, :60])


def test_photo_and_cut_out_keep_the_colour_profile(pixels: np.ndarray, quarters: EntityMap) -> None:
    profile = bytes(16) + b"RGB " + bytes(108)
    visit = Visit()
    visit.begin("cat.jpg", pixels.copy(), Metadata(profile))
    edit(visit)
    visit.know(quarters)  # which makes the edited photo the photo
    for what, name in (("result", "cat.edited.edited.png"), ("cutout", "cat.edited.cutout.png")):
        assert read_photo(saved(visit, what, name, selected=[1])).profile == profile
    with Image.open(saved(visit, "overlay", "cat.edited.overlay.jpg")) as shown:
        assert shown.info["icc_profile"] == profile
    visit.begin("dog.jpg", pixels.copy())
    assert read_photo(saved(visit, "result", "dog.edited.png")).profile is None


def test_a_workflow_of_ones_own_masks_is_a_zip_with_them(visit: Visit, quarters: EntityMap) -> None:
    workflow = json.loads(saved(visit, "workflow", "my cat.comfyui.json", selected=[1]).read_text())
    assert workflow["nodes"]
    visit.know(quarters)
    assert zipfile.is_zipfile(saved(visit, "workflow", "my cat.comfyui.zip", selected=[1]))


@pytest.mark.parametrize("what", sorted(FILES))
def test_before_the_first_photo_there_is_nothing_to_take_away(what: str) -> None:
    with pytest.raises(InputError, match=r"^Choose a photo first\.$"):
        save(Visit(), wish(what))


@pytest.mark.parametrize("what", sorted({*FILES} - {"result", "grounding", "page"}))
def test_before_the_entities_are_known_only_the_photo_can_be_taken(what: str, pixels: np.ndarray) -> None:
    visit = Visit()
    visit.begin("cat.jpg", pixels.copy())
    with pytest.raises(InputError, match=r"^The photo has not been segmented yet"):
        save(visit, wish(what, selected=[1]))


@pytest.mark.parametrize(
    "bad",
    [
        wish("passwd"),
        wish("../labels"),
        wish("cutout"),
        wish("cutout", selected=[4]),
        wish("cutout", shown=1, selected=[2]),
        wish("masks", selected=[0]),
        wish("workflow", selected=[4]),
        wish("labels", shown=4),
        wish("labels", shown="all"),
        wish("labels", selected=None),
        wish("labels", strokes=[{"add": True}]),
        wish("labels", strokes=3),
        wish("labels", selected=[float("inf")]),
        wish("labels", map_number=None),
        wish("overlay", opacity=2),
        wish("overlay", opacity=float("nan")),
        wish("overlay", opacity="much"),
        {},
        [],
        None,
    ],
)
def test_a_wish_that_makes_no_sense_is_one_sentence(visit: Visit, bad: Any) -> None:
    visit.map_number = 0  # so that no wish is refused for this alone
    with pytest.raises((InputError, OutputError), match=r"^[^\n]+$"):
        save(visit, bad)


def test_numbers_come_as_the_browser_writes_them() -> None:
    chosen = {"shown": 2.0, "selected": [1.0], "map_number": 7, "picture": 3}
    read = DownloadRequest.read({"what": "overlay", "opacity": 1, "numbers": 1, "more": 0, **chosen})
    assert read == DownloadRequest("overlay", Chosen((1,), 2, 7, 3), 1.0, True)
