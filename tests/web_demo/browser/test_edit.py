"""Removing and replacing in a real browser, with the mask shown at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PAGE_PATIENCE, PATIENCE
from PIL import Image

from esg import DiffusionInpainting, EntityMap, read_image
from web_demo.parts import edit

expect = pytest.importorskip("playwright.sync_api", reason="tests of pages need playwright").expect


@pytest.fixture
def editing(visitor: Any, files: Any) -> Any:
    """A visitor with the quarters before them, the first one selected, who is about to edit."""
    visitor.bring(files)
    visitor.select(1)
    visitor.open("Edit")
    return visitor


def mask_alpha(visitor: Any) -> np.ndarray:
    """The mask that lies over the picture, 0..255."""
    visitor.tab.wait_for_function("!document.querySelector('.esg-mask').hidden")
    size, values = visitor.tab.evaluate("""async () => {
        const image = new Image();  // of its own: another mask may take the place of the one that is shown
        image.src = document.querySelector(".esg-mask").src;
        await image.decode();
        const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        context.drawImage(image, 0, 0);
        const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
        return [[canvas.height, canvas.width], [...data].filter((_, index) => index % 4 === 3)];
    }""")
    return np.array(values).reshape(size)


def after(visitor: Any, change: Callable[[], object]) -> np.ndarray:
    """The mask that comes after a change."""
    before = visitor.find(".esg-mask").get_attribute("src")
    change()
    visitor.tab.wait_for_function("before => esg.state.mask && esg.state.mask !== before", arg=before)
    visitor.tab.wait_for_function("document.querySelector('.esg-mask').src === esg.state.mask")
    return mask_alpha(visitor)


def test_the_mask_is_shown_at_once_and_follows_the_settings(editing: Any, quarters: EntityMap) -> None:
    one = quarters.mask(1)
    first = mask_alpha(editing)
    assert first.shape == (80, 120)
    assert (first[one] == first.max()).all()
    assert 0 < (first[~one] > 0).mean() < 0.5  # grown by 8 pixels
    exact = after(editing, lambda: editing.slide("#grow", 0))
    exact = after(editing, lambda: editing.slide("#feather", 0))
    assert np.array_equal(exact > 0, one)
    both = after(editing, lambda: editing.select(1, 2))
    assert np.array_equal(both > 0, quarters.mask([1, 2]))
    others = after(editing, lambda: editing.find("#invert input").check())
    assert np.array_equal(others > 0, ~quarters.mask([1, 2]))
    editing.open("Entities")
    expect(editing.find(".esg-mask")).to_be_hidden()
    editing.open("Edit")
    mask_alpha(editing)
    editing.select()
    expect(editing.find(".esg-mask")).to_be_hidden()


def mask_when(visitor: Any, holds: Callable[[np.ndarray], bool]) -> np.ndarray:
    """The mask, (H, W) bool, once something holds of it; one change may bring several masks, one after the other."""
    for _ in range(10 * PAGE_PATIENCE):
        mask = mask_alpha(visitor) > 0
        if holds(mask):
            return mask
        visitor.tab.wait_for_timeout(100)
    pytest.fail("the mask never became what it should be")


def paint(visitor: Any, tool: str, *places: tuple[float, float]) -> None:
    """With a brush from place to place of the picture, in parts of its width and height."""
    visitor.tab.click(f".esg-drag [data-tool={tool}]")
    box = visitor.find(".esg-overlay").bounding_box()
    spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    visitor.tab.mouse.move(*spots[0])
    visitor.tab.mouse.down()
    for spot in spots[1:]:
        visitor.tab.mouse.move(*spot, steps=10)
    visitor.tab.mouse.up()


def test_a_brush_adds_to_the_mask_and_takes_away(editing: Any, pixels: np.ndarray, quarters: EntityMap) -> None:
    after(editing, lambda: editing.slide("#grow", 0))
    after(editing, lambda: editing.slide("#feather", 0))
    first = quarters.mask(1)
    paint(editing, "add", (0.6, 0.75), (0.9, 0.75))
    painted = mask_when(editing, lambda mask: mask[60, 72:108].all())
    assert painted[first].all()
    assert not painted[:40, 64:].any()
    paint(editing, "take", (0.1, 0.25), (0.4, 0.25))
    left = mask_when(editing, lambda mask: not mask[20, 12:48].any())
    assert left[60, 72:108].all()
    assert editing.selected == [1]  # brushes select nothing
    editing.tab.keyboard.press("Control+z")
    editing.tab.wait_for_function("esg.state.strokes.length === 1")
    editing.press("#apply")
    editing.wait_until_done()
    changed = (read_image(editing.download("result")) != pixels).any(axis=2)
    assert changed[60, 72:108].mean() > 0.8
    assert changed[first].mean() > 0.9
    assert not changed[:40, 70:].any()


def test_a_brush_needs_no_entity(editing: Any, pixels: np.ndarray) -> None:
    editing.tab.keyboard.press("Escape")
    after(editing, lambda: paint(editing, "add", (0.7, 0.7), (0.8, 0.8)))
    editing.press("#apply")
    editing.wait_until_done()
    changed = (read_image(editing.download("result")) != pixels).any(axis=2)
    assert changed[56:64, 86:94].any()
    assert not changed[:, :50].any()
    editing.tab.keyboard.press("Escape")
    editing.open("Edit")
    editing.tab.click("#apply")
    editing.sentence("Select at least one entity first")


def test_the_cut_out_follows_the_brush(editing: Any, quarters: EntityMap) -> None:
    paint(editing, "add", (0.25, 0.75), (0.7, 0.75))  # from 3 beyond its right border
    paint(editing, "take", (0.02, 0.02), (0.48, 0.02))  # of 1 the upper border
    editing.tab.wait_for_function("esg.state.strokes.length === 2")
    cutout = np.asarray(Image.open(editing.download("cutout")))
    for axis in (0, 1):  # it ends where the mask ends, on all sides
        assert cutout[..., 3].any(axis=axis)[[0, -1]].all()
    assert cutout.shape[1] > 80  # 1 alone has 60 columns
    editing.open("Entities")
    shown = editing.find(".esg-board canvas").evaluate("canvas => [canvas.height, canvas.width]")
    assert np.abs(np.subtract(shown, cutout.shape[:2])).max() <= 1  # the browser draws round rims of its own


def test_nothing_selected_is_a_sentence(editing: Any) -> None:
    editing.select()
    editing.tab.click("#apply")
    editing.sentence("Select at least one entity first")
    editing.wait_until_done()
    expect(editing.find("#undo")).to_be_disabled()


def test_steps_one_after_another_and_back(editing: Any, pixels: np.ndarray, quarters: EntityMap) -> None:
    editing.slide("#grow", 2)
    editing.slide("#feather", 0)
    editing.unfold("Several edits in a row")
    editing.tab.click("#add")
    text = editing.find("#list textarea")
    expect(text).to_have_value("1 =")
    text.fill("1 =\narea<20% =")
    editing.tab.click("#run")
    editing.sentence("Step 2: no entity matches 'area<20%'.")
    text.fill("1 =\n3 =")
    editing.press("#run")  # after the first one
    expect(editing.find("#slider")).to_be_visible()
    editing.wait_until_done()
    changed = (read_image(editing.download("result")) != pixels).any(axis=2)
    assert changed[quarters.mask([1, 3])].mean() > 0.9
    assert not changed[:38, 62:].any()
    editing.open("Edit")
    editing.press("#undo")
    changed = (read_image(editing.download("result")) != pixels).any(axis=2)
    assert changed[:38, :58].any()
    assert not changed[42:].any()
    editing.open("Edit")
    editing.press("#undo")
    expect(editing.find("#undo")).to_be_disabled()
    assert np.array_equal(read_image(editing.download("result")), pixels)


def test_the_result_is_segmented_again(editing: Any) -> None:
    editing.press("#apply")
    editing.wait_until_done()
    editing.tab.evaluate("esg.state.map = null")
    editing.tab.click("#segment-again")
    editing.tab.wait_for_function("esg.state.map")
    editing.wait_until_done()
    expect(editing.find("#segment-again")).to_be_disabled()
    expect(editing.find("#undo")).to_be_disabled()
    expect(editing.find("#slider")).to_be_hidden()
    assert editing.download("result").name == "photo.edited.edited.png"


def test_what_an_edit_made_can_be_seen_and_what_was_there_before(editing: Any) -> None:
    came = editing.tab.evaluate("esg.state.photo")
    expect(editing.find(".esg-compare")).to_be_hidden()
    editing.press("#apply")
    editing.wait_until_done()
    expect(editing.find(".esg-mask")).to_be_hidden()  # until another one is wanted
    photo, compare = editing.find(".esg-photo"), editing.find(".esg-compare")
    made = photo.get_attribute("src")
    compare.hover()
    editing.tab.mouse.down()
    assert photo.get_attribute("src") not in (came, made)  # the same as `came`, in another file
    expect(editing.find(".esg-overlay")).to_have_css("visibility", "hidden")
    editing.tab.mouse.up()
    assert photo.get_attribute("src") == made
    editing.press("#undo")
    expect(compare).to_be_hidden()
    assert mask_alpha(editing)[:40, :60].all()  # to be changed, and tried again


def test_the_mask_of_a_picture_that_has_been_edited_meanwhile_is_not_shown(editing: Any) -> None:
    before = editing.tab.evaluate("esg.chosen().picture")
    editing.press("#apply")
    editing.wait_until_done()
    bring = "number => esg.receive('mask', { photo: { url: esg.state.photo }, picture: number })"
    editing.tab.evaluate(bring, before)
    decoded = "() => { const picture = new Image(); picture.src = esg.state.photo; return picture.decode(); }"
    editing.tab.evaluate(decoded)  # after the page has decoded the mask, which it began earlier
    editing.let_it_draw()
    expect(editing.find(".esg-mask")).to_be_hidden()
    editing.tab.evaluate(bring, editing.tab.evaluate("esg.chosen().picture"))
    expect(editing.find(".esg-mask")).to_be_visible()


def test_two_clicks_are_one_edit(editing: Any, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    before, go, edited = editing.tab.evaluate("esg.state.photo"), threading.Event(), edit.edited
    monkeypatch.setattr(edit, "edited", lambda *given: go.wait(60) and edited(*given))
    editing.tab.dblclick("#apply")
    go.set()
    editing.tab.wait_for_function("before => esg.state.photo !== before", arg=before)
    editing.wait_until_done()
    editing.press("#undo")
    expect(editing.find("#undo")).to_be_disabled()
    assert np.array_equal(read_image(editing.download("result")), pixels)


class Painter:
    """Lets a diffusion model paint one step at a time."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.may = threading.Semaphore(0)
        self.steps: list[int] = []
        self.ended = threading.Event()
        paint, painter = DiffusionInpainting.__call__, self

        def slowly(engine: Any, *given: Any, progress: Any, **options: Any) -> Any:
            def report(done: int, total: int, what: str) -> None:
                painter.steps.append(done)
                progress(done, total, what)
                assert painter.may.acquire(timeout=PATIENCE)

            try:
                return paint(engine, *given, progress=report, **options)
            finally:
                painter.ended.set()

        patch.setattr(DiffusionInpainting, "__call__", slowly)

    def paint(self, steps: int) -> None:
        for _ in range(steps):
            self.may.release()


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Painter]:
    painter = Painter(monkeypatch)
    yield painter
    painter.paint(1000)  # where a test failed, the next one does not wait for it


def choose_model(visitor: Any, model: Path, prompt: str) -> None:
    visitor.tab.get_by_label("Replace", exact=True).check()
    visitor.write("#diffusion input", str(model))
    visitor.tab.focus("#diffusion input")
    visitor.tab.keyboard.press("Enter")
    visitor.write("#prompt :is(input, textarea)", prompt)


def replace(visitor: Any, model: Path, prompt: str, steps: int) -> None:
    choose_model(visitor, model, prompt)
    visitor.unfold("Steps, strength, guidance")
    visitor.write("#steps input[type=number]", str(steps))
    visitor.tab.keyboard.press("Tab")
    visitor.tab.click("#apply")


def test_a_diffusion_model_paints_step_by_step(
    editing: Any, painter: Painter, tiny_diffusion: Callable[[int], Path], pixels: np.ndarray, quarters: EntityMap
) -> None:
    editing.slide("#feather", 0)
    replace(editing, tiny_diffusion(9), "a red hat", steps=3)
    busy = editing.find(".esg-busy")
    for step in (1, 2, 3):
        expect(busy).to_contain_text(f"Painting: step {step} of 3")
        assert editing.find(".esg-busy progress").evaluate("bar => bar.value") == pytest.approx(step / 3)
        painter.paint(1)
    expect(editing.find("#slider")).to_be_visible()
    editing.wait_until_done()
    edited = read_image(editing.download("result"))
    changed = (edited != pixels).any(axis=2)
    assert changed[quarters.mask(1)].mean() > 0.9
    assert not changed[:, 70:].any()
    assert not changed[50:].any()


def test_replacing_needs_nothing_to_be_unfolded(
    editing: Any, tiny_diffusion: Callable[[int], Path], pixels: np.ndarray, quarters: EntityMap
) -> None:
    """What the page has never drawn, such as the fields that are folded away, sends nothing at all."""
    choose_model(editing, tiny_diffusion(9), "a red hat")
    editing.press("#apply")
    editing.wait_until_done()
    changed = (read_image(editing.download("result")) != pixels).any(axis=2)
    assert changed[quarters.mask(1)].mean() > 0.9


def test_painting_can_be_stopped(editing: Any, painter: Painter, tiny_diffusion: Callable[[int], Path]) -> None:
    replace(editing, tiny_diffusion(9), "a red hat", steps=100)
    expect(editing.find(".esg-busy")).to_contain_text("Painting: step 1 of 100")
    editing.open("Entities")  # nothing else of the page waits for it
    editing.find(".esg-stage").click(position=editing.spot(0.75, 0.25))
    assert editing.selected == [2]
    editing.stop()
    painter.paint(100)
    assert painter.ended.wait(60)
    assert painter.steps == [1, 2]
    editing.open("Edit")
    expect(editing.find("#undo")).to_be_disabled()
    editing.tab.get_by_label("Remove", exact=True).check()
    editing.tab.click("#apply")  # the next one is done
    expect(editing.find("#undo")).to_be_enabled()


def test_painting_ends_with_its_photo(
    editing: Any, painter: Painter, tiny_diffusion: Callable[[int], Path], files: Any
) -> None:
    replace(editing, tiny_diffusion(9), "a red hat", steps=100)
    expect(editing.find(".esg-busy")).to_contain_text("Painting: step 1 of 100")
    editing.upload(files.photo.rename(files.photo.with_name("other.png")))
    expect(editing.find(".esg-busy")).to_contain_text("Looking")  # its turn has come
    painter.paint(1)
    assert painter.ended.wait(60)
    assert painter.steps == [1, 2]
    editing.tab.wait_for_function("esg.state.map")
    editing.wait_until_done()
    expect(editing.find(".toast-body")).to_have_count(0)


def test_a_model_that_is_not_here_is_a_sentence(editing: Any) -> None:
    pytest.importorskip("diffusers", reason="repainting needs diffusers")
    replace(editing, Path("nobody/has-this"), "a red hat", steps=1)
    editing.sentence("nobody/has-this is not on this machine")
    editing.wait_until_done()
    expect(editing.find("#undo")).to_be_disabled()
