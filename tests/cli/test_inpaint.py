"""`esg inpaint`: copies of photos with some of their entities removed or repainted."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from esg import (
    CropSettings,
    DiffusionInpainting,
    EntityMap,
    EntitySegmenter,
    Grounder,
    cut_for_inpainting,
    read_image,
    remove_with_opencv,
    stitch_back,
)
from esg.cli.console import Console
from esg.models.gella.inference import GellaInference
from esg.support.errors import OutOfMemory

pytest.importorskip("cv2", reason="`esg inpaint` needs OpenCV", exc_type=ImportError)

Run = Callable[..., Any]
Written = Callable[[], list[str]]
MakePhoto = Callable[..., Path]

REPAINT = ["--entity", "1", "--prompt", "a hat", "--inpainter", "a/b"]


@pytest.fixture
def inpaint(esg: Run, tmp_path: Path) -> Run:
    """Runs `esg inpaint` with the output folder `tmp_path / "out"`."""
    return lambda *arguments: esg("inpaint", "--device", "cpu", "--out", tmp_path / "out", *arguments)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Three entities in a photo of 60x40 pixels: 1 is large, 2 and 3 are small, and the upper rows are of none."""
    labels = np.zeros((40, 60), np.uint8)
    labels[20:], labels[10:14, 10:15], labels[10:13, 40:45] = 1, 2, 3
    path = tmp_path / "masks.png"
    Image.fromarray(labels).save(path)
    return path


def without(photo: Path, masks: Path, ids: list[int], method: str = "telea", **settings: Any) -> np.ndarray:
    pixels = read_image(photo)
    mask = EntityMap.from_labels_png(masks).mask(ids)
    crop = cut_for_inpainting(pixels, mask, CropSettings(**{"target": 0, "multiple": 1, "context": 1.5} | settings))
    filled = remove_with_opencv(crop.picture, crop.generation, method=method)
    return stitch_back(pixels, crop.stitch, filled)


@pytest.mark.parametrize(
    ("choice", "ids"),
    [
        (["--entity", "2"], [2]),
        (["--entity", "2-3"], [2, 3]),
        (["--entity", "smallest"], [3]),
        (["--point", "44,12"], [3]),
        (["--point", "10,10", "--point", "14,13", "--point", "40,10"], [2, 3]),
    ],
)
def test_what_is_chosen_goes_and_the_rest_stays_to_the_bit(
    inpaint: Run, tmp_path: Path, photo: Path, masks: Path, written: Written, choice: list[str], ids: list[int]
) -> None:
    result = inpaint(photo, "--masks", masks, *choice, "--grow", 2, "--feather", 1)
    assert (result.status, result.out) == (0, [", ".join(map(str, ids))])
    count = "1 entity" if len(ids) == 1 else "2 entities"
    assert result.err[0].startswith(f"{photo}: {count} removed in ")
    assert result.err[0].endswith(f" s -> {tmp_path / 'out/photo'}.inpainted.png")
    assert written() == ["photo.inpainted.png"]
    pixels = read_image(tmp_path / "out/photo.inpainted.png")
    assert np.array_equal(pixels, without(photo, masks, ids, grow=2, feather=1))
    changed = (pixels != read_image(photo)).any(axis=2)
    assert changed[10:13, 40:45].all() == (3 in ids)
    assert not changed[:8].any()  # 2 pixels around the entities, and no more
    assert not changed[16:].any()


def test_options(inpaint: Run, tmp_path: Path, photo: Path, masks: Path) -> None:
    inpaint(photo, "--masks", masks, "--entity", 2, "--method", "ns")
    expected = without(photo, masks, [2], "ns", grow=8, feather=4)
    assert np.array_equal(read_image(tmp_path / "out/photo.inpainted.png"), expected)
    assert not np.array_equal(expected, without(photo, masks, [2], grow=8, feather=4))


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the tiny GELLA give the entities these scores, whatever the words are."""

    def score(*scores: float) -> None:
        monkeypatch.setattr(GellaInference, "scores", lambda *_: np.array([scores], np.float32))

    return score


@pytest.fixture
def by_words(inpaint: Run, tiny_gella: Path, photo: Path, masks: Path) -> Run:
    """Runs `esg inpaint --text "the left one"` with a tiny model."""
    fixed = ("--model", tiny_gella, "--masks", masks, "--text", "the left one", "--grow", 0, "--feather", 0)
    return lambda *options: inpaint(photo, *fixed, *options)


def test_words(by_words: Run, scored: Callable[..., None], tmp_path: Path, photo: Path, masks: Path) -> None:
    scored(0.1, 0.625, 0.75)
    assert by_words().out == ["3 (0.75)"]
    expected = without(photo, masks, [3], grow=0, feather=0)
    assert np.array_equal(read_image(tmp_path / "out/photo.inpainted.png"), expected)
    assert by_words("--threshold", 0.6).out == ["2 (0.62), 3 (0.75)"]
    expected = without(photo, masks, [2, 3], grow=0, feather=0)
    assert np.array_equal(read_image(tmp_path / "out/photo.inpainted.png"), expected)
    assert by_words("--threshold", 0).out == ["1 (0.10), 2 (0.62), 3 (0.75)"]
    scored(0, 0.5, 0.5)
    assert by_words().out == ["2 (0.50)"]


def test_the_words_are_those_that_are_given(inpaint: Run, tiny_gella: Path, photo: Path, masks: Path) -> None:
    for text in ("the left one", "a large dog"):
        best = Grounder.from_pretrained(tiny_gella, device="cpu").refer(
            photo, EntityMap.from_labels_png(masks), text, least=0
        )
        result = inpaint(photo, "--model", tiny_gella, "--masks", masks, "--text", text, "--threshold", best.scores[0])
        assert result.out == [f"{best.entity_ids[0]} ({best.scores[0]:.2f})"]


@pytest.mark.parametrize(
    ("scores", "options", "guess"),
    [
        (
            (0.1, 0.12, 0.05),
            [],
            "entity 2, whose score of 0.120 is below 0.5; to use it anyway, give --entity 2",
        ),
        ((0.499, 0.1, 0.1), [], "entity 1, whose score of 0.499 is below 0.5"),
        ((0.2, 0.1, 0.625), ["--threshold", "0.7"], "entity 3, whose score of 0.625 is below 0.7"),
    ],
)
def test_a_guess_is_not_removed(
    by_words: Run,
    scored: Callable[..., None],
    photo: Path,
    written: Written,
    scores: tuple[float, ...],
    options: list[str],
    guess: str,
) -> None:
    scored(*scores)
    by_words(*options).refused(f"{photo}: no entity matches 'the left one' well enough", guess)
    assert written() == []


def test_the_words_of_the_readme_mean_something_to_the_weights_that_ship(inpaint: Run) -> None:
    root = Path(__file__).parents[2]
    readme = (root / "README.md").read_text(encoding="utf-8")
    ((photo, text),) = re.findall(r'^esg inpaint (\S+) --text "(.*?)"', readme, re.MULTILINE)
    result = inpaint(root / photo, "--text", text)
    assert result.status == 0, result.err
    assert len(result.out) == 1


def test_by_itself_it_segments(
    inpaint: Run, tiny_model: Path, tmp_path: Path, photo: Path, masks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entities = EntityMap.from_labels_png(masks)
    monkeypatch.setattr(EntitySegmenter, "__call__", lambda self, pixels, **_: entities)
    assert inpaint(photo, "--segmenter", tiny_model, "--entity", 3).status == 0
    expected = without(photo, masks, [3])
    assert np.array_equal(read_image(tmp_path / "out/photo.inpainted.png"), expected)


def test_a_folder_and_its_results(
    inpaint: Run, tiny_model: Path, tmp_path: Path, make_photo: MakePhoto, written: Written, masks: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    entities = EntityMap.from_labels_png(masks)
    monkeypatch.setattr(EntitySegmenter, "__call__", lambda self, pixels, **_: entities)
    for name in ("in/a.png", "in/sub/b.png", "in/a.inpainted.png"):
        make_photo(tmp_path / name)
    result = inpaint(tmp_path / "in", "--segmenter", tiny_model, "--entity", "2,3")
    assert result.status == 0
    assert written() == ["a.inpainted.png", "sub/b.inpainted.png"]
    assert result.out == [f"{tmp_path / 'in' / name}: 2, 3" for name in ("a.png", "sub/b.png")]


# ------------------------------------------------------------------------------------------ what the photo's file holds


def test_the_colour_profile_stays(inpaint: Run, tmp_path: Path, photo: Path, masks: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with Image.open(photo) as picture:
        picture.save(photo, icc_profile=profile)
    result = inpaint(photo, "--masks", masks, "--entity", 2)
    assert result.err[0].endswith(".inpainted.png")  # there is nothing to say
    with Image.open(tmp_path / "out/photo.inpainted.png") as picture:
        assert picture.info["icc_profile"] == profile
        assert np.array_equal(np.asarray(picture), without(photo, masks, [2]))


def test_data_that_cannot_be_kept_are_reported(inpaint: Run, tmp_path: Path, photo: Path, masks: Path) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (40, 60), np.uint16)
    Image.fromarray(values).save(photo, icc_profile=b"no profile of RGB")
    result = inpaint(photo, "--masks", masks, "--entity", 2)
    assert result.err[0].endswith(".inpainted.png; 16 bit became 8 bit; the colour profile is left out")
    with Image.open(tmp_path / "out/photo.inpainted.png") as picture:
        assert "icc_profile" not in picture.info


def test_what_is_in_the_file_beside_its_pixels_stays(inpaint: Run, tmp_path: Path, photo: Path, masks: Path) -> None:
    exif, text = Image.Exif(), PngInfo()
    exif[0x0132], exif[0x8298] = "2024:05:06 07:08:09", "(c) nobody"
    text.add_text("parameters", "a red ball, steps 20, seed 1")
    with Image.open(photo) as picture:
        picture.save(photo, exif=exif, dpi=(300, 300), pnginfo=text)
    result = inpaint(photo, "--masks", masks, "--entity", 2)
    assert result.err[0].endswith(".inpainted.png")  # there is nothing to say
    with Image.open(tmp_path / "out/photo.inpainted.png") as picture:
        assert {**picture.getexif()} == {0x0132: "2024:05:06 07:08:09", 0x8298: "(c) nobody"}
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert picture.text == {"parameters": "a red ball, steps 20, seed 1"}


def test_transparency_stays(inpaint: Run, tmp_path: Path, photo: Path, masks: Path) -> None:
    alpha = np.full((40, 60), 255, np.uint8)
    alpha[:, :30] = 0
    alpha[:9] = 100
    given = np.dstack([read_image(photo), alpha])
    Image.fromarray(given).save(photo)
    result = inpaint(photo, "--masks", masks, "--entity", 3, "--grow", 2, "--feather", 0)
    assert result.err[0].endswith(".inpainted.png")
    with Image.open(tmp_path / "out/photo.inpainted.png") as picture:
        new = np.asarray(picture)
    assert picture.mode == "RGBA"
    assert np.array_equal(new[..., 3], alpha)
    changed = (new != given).any(axis=2)
    assert changed.any()
    assert not changed[:8].any()
    assert not changed[:, :38].any()


def test_earlier_results_are_replaced_only_if_they_may_be(
    inpaint: Run, tmp_path: Path, photo: Path, masks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = (photo, "--masks", masks, "--entity", 2)
    assert inpaint(*fixed).err[0].endswith(".inpainted.png")
    written = tmp_path / "out/photo.inpainted.png"
    assert inpaint(*fixed).err[0].endswith(".inpainted.png (1 earlier file replaced)")
    written.write_text("precious")
    monkeypatch.setattr(EntitySegmenter, "from_pretrained", lambda *_, **__: pytest.fail("the model was loaded"))
    kept = inpaint(photo, "--entity", 2, "--no-overwrite")
    assert (kept.status, kept.out) == (0, [])
    assert kept.err == [f"{photo}: skipped, because {written} already exists."]
    assert written.read_text() == "precious"


# ---------------------------------------------------------------------------------------------------------- repainting


@pytest.fixture
def repaint(inpaint: Run, tiny_diffusion: Callable[[int], Path], photo: Path, masks: Path) -> Run:
    """Runs `esg inpaint` of entity 2 with a tiny diffusion model, in two steps."""
    fixed = ("--masks", masks, "--entity", 2, "--inpainter", tiny_diffusion(9), "--steps", 2)
    return lambda *options: inpaint(photo, *fixed, *options)


def repainted(photo: Path, masks: Path, model: Path, match_colour: float = 0.5, **options: Any) -> np.ndarray:
    pixels = read_image(photo)
    engine = DiffusionInpainting.from_pretrained(model, device="cpu")
    settings = CropSettings(target=engine.size, multiple=engine.multiple, grow=3, feather=1)
    crop = cut_for_inpainting(pixels, EntityMap.from_labels_png(masks).mask([2]), settings)
    made = engine(crop.picture, crop.generation, **{"prompt": "a red hat", "steps": 2} | options)
    assert made is not None
    return stitch_back(pixels, crop.stitch, made, match_colour)


def test_repainting(
    repaint: Run, tiny_diffusion: Callable[[int], Path], tmp_path: Path, photo: Path, masks: Path, written: Written
) -> None:
    result = repaint("--prompt", "a red hat", "--grow", 3, "--feather", 1)
    assert (result.status, result.out) == (0, ["2"])
    (line,) = result.err
    assert line.startswith(f"{photo}: 1 entity repainted in ")
    assert written() == ["photo.inpainted.png"]
    pixels = read_image(tmp_path / "out/photo.inpainted.png")
    assert np.array_equal(pixels, repainted(photo, masks, tiny_diffusion(9)))
    changed = (pixels != read_image(photo)).any(axis=2)
    assert changed[10:14, 10:15].all()
    changed[7:17, 7:18] = False
    assert not changed.any()


@pytest.mark.parametrize(
    ("option", "value", "name"),
    [
        ("--negative", "a bird", "negative"),
        ("--strength", 0.5, "strength"),
        ("--guidance", 2.0, "guidance"),
        ("--seed", 7, "seed"),
        ("--match-colour", 1.0, "match_colour"),
        ("--steps", 3, "steps"),
    ],
)
def test_options_of_repainting(
    repaint: Run, tiny_diffusion: Callable[[int], Path], tmp_path: Path, photo: Path, masks: Path, option: str,
    value: object, name: str,
) -> None:  # fmt: skip
    repaint("--prompt", "a red hat", "--grow", 3, "--feather", 1, option, value)
    expected = repainted(photo, masks, tiny_diffusion(9), **{name: value})
    assert np.array_equal(read_image(tmp_path / "out/photo.inpainted.png"), expected)
    assert not np.array_equal(expected, repainted(photo, masks, tiny_diffusion(9)))


def test_the_steps_are_shown(repaint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(Console, "progress", lambda self, text: shown.append(text))
    repaint("--prompt", "a red hat")
    assert [text for text in shown if "steps" in text] == ["photo.png: steps 1/2", "photo.png: steps 2/2"]


def test_repainting_does_without_opencv(repaint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert repaint("--prompt", "a red hat").status == 0


@pytest.mark.usefixtures("hf_home", "tiny_diffusion")
def test_a_diffusion_model_that_is_not_here(inpaint: Run, photo: Path, masks: Path, written: Written) -> None:
    options = ("--masks", masks, "--entity", 2, "--prompt", "a red hat", "--inpainter", "somebody/no-model")
    inpaint(photo, *options).refused("somebody/no-model is not on this machine", "--download")
    assert written() == []


def test_a_diffusion_model_that_needs_too_much_memory(repaint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OutOfMemory("too much")

    monkeypatch.setattr(DiffusionInpainting, "__call__", fail)
    repaint("--prompt", "a red hat").refused("photo.png needs more memory than is available", "a smaller --inpainter")


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (["--entity", "4"], "4"),
        (["--entity", "none"], "no entity matches 'none'; the photo has 3 entities"),
        (["--entity", "the dog"], "dog"),
        (["--point", "12,12", "--point", "0,0", "--point", "60,39"], "no entity at 0,0 and 60,39"),
        (["--entity", "all", "--grow", "40"], "nothing to fill it from"),
    ],
)
def test_choices_that_this_photo_does_not_have(
    inpaint: Run, photo: Path, masks: Path, written: Written, choice: list[str], words: str
) -> None:
    inpaint(photo, "--masks", masks, *choice).refused(str(photo), words)
    assert written() == []


def test_words_about_a_photo_without_entities(
    inpaint: Run, tiny_gella: Path, tiny_model: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = EntityMap.from_labels(np.zeros((40, 60), int))
    monkeypatch.setattr(EntitySegmenter, "__call__", lambda self, pixels, **_: nothing)
    options = ("--model", tiny_gella, "--segmenter", tiny_model, "--text", "a dog")
    inpaint(photo, *options).refused(str(photo), "no entity matches 'a dog'; the photo has 0 entities")


@pytest.mark.usefixtures("without_model")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "one of the arguments --entity --point --text is required"),
        (["--entity", "1", "--text", "a"], "not allowed with"),
        (["--text", " "], "argument --text: the text is blank"),
        (["--point", "12"], "'12' is not a point such as 320,200"),
        (["--point", "a,b"], "not a point"),
        (["--entity", "1", "--grow", "-1"], "below the minimum of 0"),
        (["--entity", "1", "--method", "lama"], "telea"),
        (["--entity", "1", "--prompt", "a hat"], "give both --prompt TEXT and --inpainter MODEL"),
        (["--entity", "1", "--inpainter", "a/b"], "give both --prompt TEXT and --inpainter MODEL"),
        ([*REPAINT, "--steps", "1001"], "from 1 to 1000"),
        ([*REPAINT, "--strength", "1.5"], "up to 1, not 1.5"),
        ([*REPAINT, "--strength", "0.01"], "none of the 25 steps is left"),
        ([*REPAINT, "--guidance", "nan"], "nan"),
        ([*REPAINT, "--seed", str(2**64)], "The seed must be"),
        ([*REPAINT, "--match-colour", "2"], "2 is not between 0 and 1"),
    ],
)
def test_wrong_options(inpaint: Run, photo: Path, options: list[str], words: str) -> None:
    inpaint(photo, *options).refused(words)


@pytest.mark.usefixtures("without_model")
def test_without_opencv(inpaint: Run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    inpaint(photo, "--entity", 1).refused("needs OpenCV", "opencv-python-headless")
