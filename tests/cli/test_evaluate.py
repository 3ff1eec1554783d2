"""`esg eval`: figures on stdout in percent, and in a file as fractions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from text_sets import (
    CAPTION,
    CATEGORIES,
    NOUNS,
    polygon,
    save_photo,
    shape,
    write_png,
    write_reason,
    write_refcoco,
    write_wild,
)

Run = Callable[..., Any]


@pytest.fixture
def evaluate(esg: Run, tiny_gella: Path) -> Run:
    """Runs `esg eval TASK` with a tiny model."""
    return lambda task, *arguments: esg("eval", task, *arguments, "--model", tiny_gella, "--device", "cpu")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A red photo with a blue square, and who segmented it."""
    image, labels = np.zeros((60, 80, 3), np.uint8), np.ones((60, 80), np.uint8)
    image[..., 0], image[20:30, 20:30] = 220, (0, 0, 255)
    labels[20:30, 20:30] = 2
    (tmp_path / "photos").mkdir()
    Image.fromarray(image).save(tmp_path / "photos/a.jpg", quality=95)
    Image.fromarray(labels).save(tmp_path / "photos/a_0.png")
    return tmp_path / "photos"


@pytest.mark.parametrize("given", [True, False], ids=["true masks", "a segmenter's masks"])
def test_narratives(evaluate: Run, tiny_model: Path, tmp_path: Path, given: bool) -> None:
    options = () if given else ("--segmenter", tiny_model)
    result = evaluate("narratives", "--count", 2, "--out", tmp_path / "figures.json", *options)
    assert (result.status, result.err) == (0, [])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert result.out[0].startswith(f"2 held-out scenes, {figures['nouns']:.0f} nouns, ")
    shown = {line.split()[0]: line.split()[1] for line in result.out[1:]}
    assert set(shown) == figures.keys() - {"nouns", "expressions"}
    for name, text in shown.items():
        value = figures[name]
        assert text == ("-" if value is None else f"{100 * value:.1f}")
        assert value is None or 0 <= value <= 1


def test_reconstruction(evaluate: Run, tmp_path: Path) -> None:
    result = evaluate("reconstruction", "--count", 3, "--out", tmp_path / "figures.json")
    assert (result.status, result.err) == (0, [])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert list(figures) == ["all", "tiny", "small", "medium", "large"]
    assert [line.split()[0] for line in result.out[1:]] == list(figures)


def test_claims(evaluate: Run, photos: Path, tmp_path: Path, says: Callable[[str], None]) -> None:
    says("A green tiny disc.")
    result = evaluate("claims", photos, "--out", tmp_path / "figures.json")
    assert (result.status, result.err) == (0, [])
    found = json.loads((tmp_path / "figures.json").read_text())
    assert found["true"] == 0
    assert found["false"] >= 1
    assert found["share"] == 0
    assert result.out[0].startswith(f"0.0 % of {found['false']} phrases")
    assert all(line.startswith("  not true: a: ") for line in result.out[1:])


def test_wrong_input(evaluate: Run, esg: Run, tmp_path: Path) -> None:
    evaluate("claims", tmp_path / "nowhere").refused("nowhere", "does not exist")
    evaluate("narratives", "--count", 1, "--segmenter", tmp_path / "none.pth").refused("does not exist")
    evaluate("narratives", "--count", 1, "--out", tmp_path).refused(str(tmp_path), "cannot be written")
    esg("eval", "narratives", "--count", 0).refused("--count", "0 is below the minimum of 1")


def test_entities_from_files(esg: Run, shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    folder = shared / "reference/evaluator"
    files = ("--truth", folder / "gt.json", "--predictions", folder / "pred.json")
    result = esg("eval", "entities", *files, "--json", tmp_path / "figures.json")
    assert (result.status, result.err) == (0, [])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert list(figures) == ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR@1", "AR@10", "AR@100"]
    official = json.loads((folder / "official_results.json").read_text())["all_12_stats_segm"]
    assert figures == pytest.approx({name: 100 * official[name] for name in figures}, abs=1e-6)
    assert [line.split()[:2] for line in result.out] == [[name, f"{value:.1f}"] for name, value in figures.items()]


@pytest.mark.parametrize("given", [(), ("--truth", "a.json"), ("photos", "--truth", "a", "--predictions", "b")])
def test_entities_need_photos_or_both_files(esg: Run, given: tuple[str, ...]) -> None:
    esg("eval", "entities", *given).refused("Give a folder of photos to segment, or both --truth and --predictions.")


def test_narratives_of_png(evaluate: Run, tmp_path: Path) -> None:
    file = write_png(tmp_path / "png", [{"image_id": 139, "caption": CAPTION, "segments": NOUNS}, {"image_id": 1}])
    options = ("--out", tmp_path / "figures.json", "--resume", tmp_path / "run.jsonl", "--nouns", "given")
    result = evaluate("narratives", file, *options)
    assert result.status == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert result.out[0] == "1 of 2 narratives were used: 1 photos, 3 nouns"
    assert result.out[1].split() == ["here", "GELLA-7B", "GELLA-13B", "(as", "in", "the", "paper)"]
    assert result.out[2].split()[:4] == ["AR", f"{100 * figures['AR']:.1f}", "69.8", "71.3"]
    assert result.err == ["Note: narratives of photos that are not listed (1): number 1 of photo 1"]
    again = evaluate("narratives", file.parent, *options)  # the folder is another name for the same file
    assert again.out == result.out
    evaluate("narratives", file, *options, "--threshold", 0.1).refused("run.jsonl", "threshold was 0.5 and is now 0.1")


def test_expressions_of_refcoco(evaluate: Run, tmp_path: Path) -> None:
    folder = write_refcoco(tmp_path / "refcoco")
    result = evaluate("referring", folder, "--split", "testA", "--out", tmp_path / "figures.json")
    assert (result.status, result.err) == (0, [])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert result.out[0] == "1 of 1 expressions of refcoco testA were used, in 1 photos"
    assert result.out[2].split()[:4] == ["cIoU", f"{100 * figures['cIoU']:.1f}", "79.9", "80.5"]
    assert result.out[3].split()[:4] == ["gIoU", f"{100 * figures['gIoU']:.1f}", "-", "-"]
    evaluate("referring", folder, "--split", "test").refused("split test", "it has val (2), testA (1)")


def test_questions_of_reasonseg(evaluate: Run, tmp_path: Path) -> None:
    write_reason(tmp_path / "set/test", "a", ["the red dog"], [shape("target", 0, 0, 19, 29)])
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.ones((30, 40), np.uint8)).save(tmp_path / "masks/a.png")
    evaluate("referring", tmp_path / "set", "--split", "test").refused("only the answers are outlined")
    result = evaluate("referring", tmp_path / "set", "--split", "test", "--masks", tmp_path / "masks")
    assert (result.status, result.err) == (0, [])
    assert result.out[2].split()[:3] == ["cIoU", "50.0", "64.1"]  # the whole picture is the only entity
    assert result.out[3].split()[:3] == ["gIoU", "50.0", "63.3"]


def test_expressions_about_scenes(evaluate: Run, tmp_path: Path) -> None:
    result = evaluate("referring", "--count", 3, "--out", tmp_path / "figures.json")
    assert (result.status, result.err) == (0, [])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [line.split()[0] for line in result.out[1:]] == ["cIoU", "gIoU", "P50"]
    assert result.out[0] == f"3 held-out scenes, {figures['expressions']:.0f} expressions"


def test_names_in_the_wild(evaluate: Run, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    write_wild(tmp_path, "Puppies", ["dog"], [(1, polygon(0, 0, 6, 4))])
    result = evaluate("wild", tmp_path, "--out", tmp_path / "figures.json")
    assert result.status == 0
    assert json.loads((tmp_path / "figures.json").read_text())["mean"] == pytest.approx(1)
    assert result.out[0] == "mask AP of 1 sets, 1 photos"
    assert [line.split()[:3] for line in result.out[2:]] == [["Puppies", "100.0", "-"], ["mean", "100.0", "50.7"]]
    assert result.err == [
        "Note: the paper's mean is of 25 sets; missing here (24): Airplane-Parts, Bottles, Brain-Tumor, ..."
    ]


def test_captions_from_another_file(evaluate: Run, tmp_path: Path) -> None:
    save_photo(tmp_path / "set/images/a.jpg")
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 4, "width": 6}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 18, "segmentation": [polygon(0, 0, 6, 4)]}],
        "categories": CATEGORIES,
    }
    (tmp_path / "set/instances.json").write_text(json.dumps(content))
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps({"a.jpg": "There is a dog.", "b.jpg": 3}))
    result = evaluate("written", tmp_path / "set", "--captions", captions)
    assert result.out == ["100.0 % of 1 nouns are grounded in the thing they name"]
    assert result.err == ["Note: photos without a caption (1): b.jpg"]
    captions.write_text(json.dumps({"b.jpg": "There is a dog."}))
    evaluate("written", tmp_path / "set", "--captions", captions).refused("No caption in", "nothing to measure")


def test_options_that_do_not_go_together(evaluate: Run, tmp_path: Path) -> None:
    both = ("--masks", tmp_path, "--segmenter", "cropformer-nano")
    evaluate("referring", "--count", 1, "--masks", tmp_path).refused("--masks needs photos")
    evaluate("narratives", "--count", 1, "--resume", tmp_path / "a").refused("--resume needs the PATH")
    evaluate("referring", "--count", 1, "--images", tmp_path).refused("--images needs the PATH")
    evaluate("narratives", write_png(tmp_path / "png"), *both).refused("Give --segmenter or --masks, not both")


def test_other_categories_than_those_of_coco(evaluate: Run, tmp_path: Path) -> None:
    folder = write_wild(tmp_path, "Hand", ["hand"], [(1, polygon(0, 0, 6, 4))]) / "Hand/valid"
    evaluate("names", folder).refused("COCO's 133 categories", "such as hand")
