"""`esg ground`: photos and folders of photos in, captions with the entities of their nouns out, and files with both."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esg import EntityMap, EntitySegmenter, Grounder, Grounding, InputError, read_image
from esg.cli.console import Console
from esg.entities.importing.panoptic import ids_of_colours
from esg.models.gella.inference import GellaInference

SUFFIXES = ["grounding.jpg", "grounding.json", "labels.png"]

Run = Callable[..., Any]
Says = Callable[[str], None]
Written = Callable[[], list[str]]
MakePhoto = Callable[..., Path]


@pytest.fixture
def ground(esg: Run, tiny_gella: Path, tmp_path: Path) -> Run:
    """Runs `esg ground` with a tiny model and the output folder `tmp_path / "out"`."""
    return lambda *arguments: esg(
        "ground", "--model", tiny_gella, "--device", "cpu", "--out", tmp_path / "out", *arguments
    )


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Four entities in a photo of 60x40 pixels, as a label PNG that says nothing of scores."""
    path = tmp_path / "masks.png"
    Image.fromarray((np.arange(60) // 15 + 1).astype(np.uint8)[None].repeat(40, 0)).save(path)
    return path


@pytest.fixture
def grounder(tiny_gella: Path) -> Grounder:
    return Grounder.from_pretrained(tiny_gella, device="cpu")


def several_masks(path: Path, masks: Path, *names: str) -> None:
    """Writes the entities of a label PNG, 1, 2, …, as a COCO file, in turns as those of the second picture, and so on
    round to the first."""
    coco = EntityMap.from_labels_png(masks).to_coco()
    coco["images"] = [{**coco["images"][0], "id": k, "file_name": name} for k, name in enumerate(names)]
    coco["annotations"] = [{**one, "image_id": one["id"] % len(names)} for one in coco["annotations"]]
    path.write_text(json.dumps(coco))


def saved(tmp_path: Path, name: str = "photo") -> Grounding:
    return Grounding.from_json(tmp_path / f"out/{name}.grounding.json")


# --------------------------------------------------------------------------------------------------------- the ways in


def test_a_photo_with_masks_and_words_of_ones_own(
    ground: Run, grounder: Grounder, tmp_path: Path, photo: Path, masks: Path, written: Written
) -> None:
    result = ground(photo, "--masks", masks, "--phrases", "red disc, two bars", "--threshold", 0)
    assert result.status == 0
    assert written() == [f"photo.{suffix}" for suffix in SUFFIXES]
    entities = EntityMap.from_labels_png(masks)
    expected = grounder(photo, entities, phrases=["red disc", "two bars"], threshold=0)
    assert saved(tmp_path) == expected
    assert EntityMap.from_labels_png(tmp_path / "out/photo.labels.png") == entities
    overlay = read_image(tmp_path / "out/photo.grounding.jpg")
    assert overlay.shape[1] == 200
    assert len(overlay) > 40 + 13

    assert result.out[0] == "This image depicts a red disc and two bars."
    ids = ", ".join(
        f"{number} ({score:.2f})" for number, score in zip(expected.phrases[0].entity_ids, expected.phrases[0].scores)
    )
    assert result.out[1] == f"  red disc: {ids}"
    assert len(result.out) == 3
    *_, line = result.err
    assert line.startswith(f"{photo}: 2 phrases, 4 entities in ")
    assert line.endswith(f" s -> {tmp_path / 'out/photo'}.*")


def test_a_caption(ground: Run, grounder: Grounder, tmp_path: Path, photo: Path, masks: Path) -> None:
    caption = "A red disc lies on two bars."
    result = ground(photo, "--masks", masks, "--caption", caption)
    assert saved(tmp_path) == grounder(photo, EntityMap.from_labels_png(masks), caption)
    assert result.out[0] == caption


def test_categories(ground: Run, grounder: Grounder, tmp_path: Path, photo: Path, masks: Path) -> None:
    ground(photo, "--masks", masks, "--categories", "cat,dog", "--threshold", 0)
    expected = grounder(photo, EntityMap.from_labels_png(masks), categories=["cat", "dog"], threshold=0)
    assert saved(tmp_path) == expected
    assert sorted(number for phrase in expected.phrases for number in phrase.entity_ids) == [1, 2, 3, 4]


def test_names_of_the_models_own_and_the_entities_without_one(
    ground: Run, tmp_path: Path, photo: Path, masks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [("dog", 0.8), ("cat", 0.6), ("sky", 0.85), ("dog", 0.9)]
    monkeypatch.setattr(GellaInference, "names", ("dog", "cat", "sky"))
    monkeypatch.setattr(GellaInference, "recognise", lambda *_: found)
    result = ground(photo, "--masks", masks, "--names")
    assert result.status == 0
    assert result.out == ["dog, sky", "  dog: 4 (0.90), 1 (0.80)", "  sky: 3 (0.85)", "  no name: 2"]
    assert saved(tmp_path).caption == "dog, sky"
    result = ground(photo, "--masks", masks, "--names", "--threshold", 0.95)
    assert result.out == ["no name", "  no name: 1, 2, 3, 4"]
    assert saved(tmp_path) == Grounding("no name", ())


def test_panoptic(ground: Run, grounder: Grounder, tmp_path: Path, photo: Path, masks: Path) -> None:
    listed = tmp_path / "names.json"
    listed.write_text(json.dumps([{"name": "disc", "id": 7}, {"name": "sky", "id": 9, "isthing": 0}]))
    assert ground(photo, "--masks", masks, "--panoptic", listed, "--threshold", 0).status == 0
    found = grounder.panoptic(photo, EntityMap.from_labels_png(masks), listed, threshold=0)
    content = json.loads((tmp_path / "out/photo.panoptic.json").read_text())
    assert content == found.to_coco("photo.png", "photo.panoptic.png")
    assert [one["id"] for one in content["categories"]] == [7, 9]
    ids = ids_of_colours(np.asarray(Image.open(tmp_path / "out/photo.panoptic.png")))
    assert np.array_equal(ids, found.entities.labels)
    assert saved(tmp_path) == found.grounding()
    ground(photo, "--masks", masks, "--panoptic", "cocoa").refused("There is no list of names 'cocoa'; give coco, ade")
    ground(photo, "--masks", masks, "--panoptic", "coco", "--names").refused("not allowed with argument")


def test_a_model_without_a_list_of_names_is_one_sentence_before_the_work(
    ground: Run, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EntitySegmenter, "from_pretrained", lambda *_, **__: pytest.fail("it began"))
    result = ground(photo, "--names")
    assert result.status == 2
    assert "has no list of names of its own; give one as categories." in result.err[-1]


def test_an_expression(
    ground: Run, grounder: Grounder, tmp_path: Path, photo: Path, masks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GellaInference, "scores", lambda *_: np.array([[0.2, 0.75, 0.5, 0.1]], np.float32))
    result = ground(photo, "--masks", masks, "--refer", "the left one")
    best = grounder.refer(photo, EntityMap.from_labels_png(masks), "the left one")
    assert saved(tmp_path) == Grounding("the left one", (best,))
    assert result.out == ["the left one", "  the left one: 2 (0.75)"]
    assert ": 1 phrase, 4 entities in" in result.err[-1]
    ground(photo, "--masks", masks, "--refer", "the left one", "--threshold", 0)
    assert sorted(saved(tmp_path).phrases[0].entity_ids) == [1, 2, 3, 4]


def test_an_expression_by_its_nouns(
    ground: Run, grounder: Grounder, tmp_path: Path, photo: Path, masks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = np.array([[0.2, 0.75, 0.5, 0.1], [0.9, 0.1, 0.1, 0.1]], np.float32)
    monkeypatch.setattr(GellaInference, "nouns", lambda *_: [(0, 3), (7, 10)])
    monkeypatch.setattr(GellaInference, "scores", lambda *_: scores)
    assert ground(photo, "--masks", masks, "--refer", "cat on mat", "--by-nouns").status == 0
    assert saved(tmp_path).phrases[0].entity_ids == (1, 2, 3)


def test_an_expression_without_a_match_gets_the_best_guess(
    ground: Run, tmp_path: Path, photo: Path, masks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GellaInference, "scores", lambda *_: np.array([[0.2, 0.45, 0.3, 0.1]], np.float32))
    result = ground(photo, "--masks", masks, "--refer", "the left one")
    assert result.status == 0
    assert result.out[1] == "  the left one: no sure match; the best guess is 2 (0.45)"
    assert saved(tmp_path).phrases[0].entity_ids == ()
    assert saved(tmp_path).phrases[0].guess == (2, pytest.approx(0.45))


def test_lists_may_have_dots(ground: Run, grounder: Grounder, tmp_path: Path, photo: Path, masks: Path) -> None:
    ground(photo, "--masks", masks, "--phrases", "red disc . blue square .")
    expected = grounder(photo, EntityMap.from_labels_png(masks), phrases=["red disc", "blue square"])
    assert saved(tmp_path) == expected


def test_words_that_the_model_does_not_know_are_refused_before_anything_is_segmented(
    ground: Run, photo: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GellaInference, "knows", lambda self, word: word == "disc")
    monkeypatch.setattr(EntitySegmenter, "from_pretrained", lambda *_, **__: pytest.fail("it was loaded"))
    for option in ("--refer", "--caption", "--phrases", "--categories"):
        ground(photo, option, "der rote Kreis").refused("knows no word of 'der rote Kreis'. It reads English only")
    assert written() == []


def test_by_itself_it_segments_and_writes_a_caption(
    ground: Run,
    grounder: Grounder,
    tiny_model: Path,
    tmp_path: Path,
    photo: Path,
    says: Says,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entities = EntityMap.from_labels(np.arange(2400).reshape(40, 60) // 800 + 1)
    monkeypatch.setattr(EntitySegmenter, "__call__", lambda self, pixels, **_: entities)
    says("Two blue bars.")
    result = ground(photo, "--segmenter", tiny_model)
    assert result.status == 0
    assert saved(tmp_path) == grounder(photo, entities, "Two blue bars.")
    assert EntityMap.from_labels_png(tmp_path / "out/photo.labels.png") == entities


@pytest.mark.parametrize("drafts", [1, 3])
def test_a_photo_is_looked_at_once_where_the_model_writes_the_caption(
    ground: Run, make_photo: MakePhoto, masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drafts: int
) -> None:
    several_masks(tmp_path / "masks.json", masks, "a.png", "b.png")
    see, seen = GellaInference.see, []

    def counted(self: GellaInference, pixels: np.ndarray) -> Any:
        seen.append(pixels[0, 0].tolist())
        return see(self, pixels)

    monkeypatch.setattr(GellaInference, "see", counted)
    photos = [make_photo(tmp_path / name) for name in ("a.png", "b.png")]
    Image.fromarray(255 - read_image(photos[1])).save(photos[1])
    result = ground(*photos, "--masks", tmp_path / "masks.json", "--drafts", drafts, "--max-tokens", 9)
    assert result.status == 0
    assert seen == [read_image(photo)[0, 0].tolist() for photo in photos]


def test_the_drafts_are_shown(ground: Run, photo: Path, masks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(Console, "progress", lambda self, text: shown.append(text))
    assert ground(photo, "--masks", masks, "--drafts", 3, "--max-tokens", 9).status == 0
    states = [text for text in shown if "captions" in text]
    assert (states[0], states[-1]) == ("photo.png: captions 0/3", "photo.png: captions 3/3")
    assert states == sorted(states)


def test_the_page(ground: Run, tmp_path: Path, photo: Path, masks: Path, written: Written) -> None:
    ground(photo, "--masks", masks, "--phrases", "disc", "--html")
    assert written() == [f"photo.{suffix}" for suffix in sorted([*SUFFIXES, "grounding.html"])]
    page = (tmp_path / "out/photo.grounding.html").read_text(encoding="utf-8")
    assert "<title>photo.png</title>" in page
    assert "This image depicts a disc." in page


# --------------------------------------------------------------------------------------------- several photos, and none


def test_folders_keep_their_structure_and_results_are_skipped(
    ground: Run, tmp_path: Path, make_photo: MakePhoto, masks: Path, written: Written
) -> None:
    several_masks(tmp_path / "both.json", masks, "a.png", "b.png")
    for name in ("in/a.png", "in/sub/b.png", "in/old.grounding.jpg"):
        make_photo(tmp_path / name)
    result = ground(tmp_path / "in", "--masks", tmp_path / "both.json", "--phrases", "disc")
    assert result.status == 0
    assert written() == [f"{name}.{suffix}" for name in ("a", "sub/b") for suffix in SUFFIXES]
    assert [line for line in result.out if not line.startswith("  ")] == [
        f"{tmp_path / 'in' / name}: This image depicts a disc." for name in ("a.png", "sub/b.png")
    ]
    for number, name in enumerate(("a", "sub/b")):
        expected = EntityMap.from_labels_png(masks).keep([2 - number, 4 - number])
        assert np.array_equal(EntityMap.from_labels_png(tmp_path / f"out/{name}.labels.png").labels, expected.labels)


def test_a_bad_photo_does_not_stop_the_others(
    ground: Run, tmp_path: Path, make_photo: MakePhoto, masks: Path, written: Written
) -> None:
    several_masks(tmp_path / "masks.json", masks, "a.png", "b.png", "c.png")
    good, small, bad = make_photo(tmp_path / "a.png"), make_photo(tmp_path / "b.png", (30, 30)), tmp_path / "c.png"
    bad.write_text("no picture")
    result = ground(small, bad, good, "--masks", tmp_path / "masks.json", "--phrases", "disc")
    assert result.status == 2
    assert written() == [f"a.{suffix}" for suffix in SUFFIXES]
    assert "c.png is not a picture" in result.err[0]  # which is known before the work
    assert f"{small}: " in result.err[1]
    assert "masks of 60x40 pixels, but the photo has 30x30" in result.err[1]
    assert result.err[-1] == f"esg: 2 of 3 photos could not be grounded: {small}, {bad}"


def test_a_photo_that_cannot_be_written_does_not_stop_the_others(
    ground: Run, tmp_path: Path, photo: Path, make_photo: MakePhoto, masks: Path, written: Written
) -> None:
    several_masks(tmp_path / "masks.json", masks, "photo.png", "other.png")
    (tmp_path / "out/photo.labels.png").mkdir(parents=True)
    other = make_photo(tmp_path / "other.png")
    result = ground(photo, other, "--masks", tmp_path / "masks.json", "--phrases", "disc")
    assert result.status == 2
    assert "there is a folder with this name" in "".join(result.err)
    assert written() == [*(f"other.{suffix}" for suffix in SUFFIXES), "photo.labels.png/"]
    assert not any(line.startswith(f"{photo}:") for line in result.out)


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"dear diary", "not a mask file that ESG can read"),
        (b'{"images": []}', "does not describe any pictures"),
        (b'[{"id": 1, "bbox": [1, 2, 3, 4]}, {"id": 2, "segmentation": []}]', "has boxes and no masks"),
        (b'[{"segmentation": {"size": [40, 61], "counts": [0, 2440]}}]', "61x40 pixels, but the photo has 60x40"),
    ],
)
def test_masks_that_cannot_be_used(
    ground: Run, tmp_path: Path, photo: Path, written: Written, content: bytes, words: str
) -> None:
    path = tmp_path / "masks.json" if content[:1] in b"[{" else tmp_path / "masks.txt"
    path.write_bytes(content)
    ground(photo, "--masks", path).refused(str(path), words)
    assert written() == []


def test_overlapping_masks_are_accepted_with_one_message(ground: Run, tmp_path: Path, photo: Path) -> None:
    both = [
        {"segmentation": {"size": [40, 60], "counts": [start, 1200, 1200 - start]}, "score": score}
        for start, score in ((0, 0.5), (600, 0.9))
    ]
    (tmp_path / "masks.json").write_text(json.dumps(both))
    result = ground(photo, "--masks", tmp_path / "masks.json", "--phrases", "disc")
    assert result.status == 0
    assert sum("masks overlap, and the highest score wins" in line for line in result.err) == 1
    assert EntityMap.from_labels_png(tmp_path / "out/photo.labels.png").areas.tolist() == [1200, 600]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--caption", "a disc and " * 300], "words too long for this model"),
        (["--refer", "a disc and " * 300], "words too long for this model"),
    ],
)
def test_words_that_cannot_be_used(
    ground: Run, photo: Path, masks: Path, written: Written, words: list[str], sentence: str
) -> None:
    ground(photo, photo, "--masks", masks, *words).refused(sentence)
    assert written() == []


def test_what_is_wrong_with_a_models_own_caption_is_a_matter_of_that_photo(
    ground: Run, photo: Path, masks: Path, says: Says
) -> None:
    says("a disc and " * 300)
    ground(photo, "--masks", masks).refused(str(photo), "too long")
    says("")
    ground(photo, "--masks", masks).refused(str(photo), "wrote an empty caption")


def test_nan_scores_are_reported(
    ground: Run, photo: Path, masks: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GellaInference, "scores", lambda *_: np.full((1, 4), np.nan, np.float32))
    ground(photo, "--masks", masks, "--phrases", "disc").refused("NaN or infinite", "precision fp32")
    assert written() == []


def test_a_photo_without_entities_is_a_result(
    ground: Run, tiny_model: Path, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = EntityMap.from_labels(np.zeros((40, 60), int))
    monkeypatch.setattr(EntitySegmenter, "__call__", lambda self, pixels, **_: nothing)
    result = ground(photo, "--segmenter", tiny_model, "--phrases", "disc", "--html")
    assert (result.status, result.out[1]) == (0, "  disc: no entity")
    assert "0 entities" in result.err[0]
    assert "no entities that they could refer to" in result.err[0]
    assert saved(tmp_path).phrases[0].entity_ids == ()


@pytest.mark.parametrize(
    "content",
    [
        [],
        [{"segmentation": {"size": [40, 60], "counts": [2400]}}],
        {"images": [{"id": 1, "height": 40, "width": 60}], "annotations": []},
    ],
)
def test_masks_without_entities_are_a_result_too(ground: Run, tmp_path: Path, photo: Path, content: Any) -> None:
    path = tmp_path / "masks.json"
    path.write_text(json.dumps(content))
    result = ground(photo, "--masks", path, "--phrases", "disc")
    assert (result.status, result.out[1]) == (0, "  disc: no entity")
    assert result.err[0] == f"{path} does not hold any masks of {photo.name}: no pixel belongs to an entity."
    assert "no entities that they could refer to" in result.err[1]
    assert not EntityMap.from_labels_png(tmp_path / "out/photo.labels.png").labels.any()


@pytest.mark.parametrize("count", [1, 300])
def test_one_entity_and_three_hundred(ground: Run, tmp_path: Path, photo: Path, count: int) -> None:
    np.save(tmp_path / "masks.npy", np.arange(2400).reshape(40, 60) * count // 2400 + 1)
    assert ground(photo, "--masks", tmp_path / "masks.npy", "--phrases", "disc", "--threshold", 0).status == 0
    assert sorted(saved(tmp_path).phrases[0].entity_ids) == list(range(1, count + 1))


def test_missing_weights_are_noticed_before_any_work(
    ground: Run, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EntitySegmenter, "__call__", lambda *_, **__: pytest.fail("it was segmented"))
    ground(photo, "--model", "gella-nanoo").refused("no model or file called 'gella-nanoo'")
    ground(photo, "--model", "gella-7b").refused("train them with `esg train gella --preset 7b`")
    ground(photo, "--model", "cropformer-nano").refused("does not hold weights of GELLA")
    ground(photo, "--segmenter", "gella-nano").refused("gella-nano")
    ground(photo, "--segmenter", tmp_path / "no.pth").refused("does not exist")


def test_no_memory_for_one_photo(
    ground: Run, photo: Path, masks: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(GellaInference, "see", full)
    ground(photo, "--masks", masks, "--phrases", "disc").refused(
        "photo.png needs more memory than is available; try --precision bf16"
    )
    assert written() == []


@pytest.mark.usefixtures("without_model")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--phrases", "a,,b"], "'a,,b' is not a list"),
        (["--categories", ""], "is not a list"),
        (["--caption", "a", "--refer", "b"], "not allowed with"),
        (["--caption", " "], "argument --caption: the text is blank"),
        (["--refer", ""], "argument --refer: the text is blank"),
        (["--by-nouns"], "--by-nouns is for expressions; give one with --refer"),
        (["--threshold", "1.1"], "not between 0 and 1"),
        (["--temperature", "-1"], "not a number of 0 or more"),
        (["--temperature", "nan"], "not a number of 0 or more"),
        (["--max-tokens", "0"], "below the minimum of 1"),
    ],
)
def test_wrong_options(ground: Run, photo: Path, options: list[str], words: str) -> None:
    ground(photo, *options).refused(words)


def test_a_bug_keeps_its_stack_trace(ground: Run, photo: Path, masks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(GellaInference, "see", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        ground(photo, "--masks", masks, "--phrases", "disc")


def test_results_hold_together(
    ground: Run, photo: Path, masks: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files or none: the page cannot be made, so the others do not come either."""

    def fails(*_: object, **__: object) -> str:
        raise InputError("The page is too large.")

    monkeypatch.setattr("esg.drawing.grounding_page.grounding_page", fails)
    result = ground(photo, "--masks", masks, "--phrases", "disc", "--html")
    assert (result.status, result.out, result.err[-1]) == (2, [], "esg: The page is too large.")
    assert written() == []
