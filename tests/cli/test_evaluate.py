"""`esg eval`: figures on stdout in percent, and in a file as fractions."""

from __future__ import annotations

import json
import sys
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

from esg.entities import rle

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
def test_narratives(evaluate: Run, small_model: Path, tmp_path: Path, given: bool) -> None:
    options = () if given else ("--segmenter", small_model)
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
    assert figures.pop("pictures") == 3
    assert result.out[0] == "Masks of 3 held-out scenes, reconstructed by the mask decoder"
    shares = ["all", "tiny", "small", "medium", "large"]
    assert [name for name in figures if not name.startswith("AP")] == shares
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


FILES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR@1", "AR@10", "AR@100"]


@pytest.fixture
def halves(tmp_path: Path) -> Callable[..., Path]:
    """Writes COCO JSON of photos 0.jpg, 1.jpg ... with a cat on the left and a dog on the right, and its results."""

    def write(name: str, count: int = 3, **changes: Any) -> Path:
        left = np.zeros((40, 60), bool)
        left[:, :30] = True
        annotations = [
            {"id": 2 * k + part, "image_id": k, "category_id": 17 + part, "segmentation": rle.encode_mask(mask)}
            for k in range(count)
            for part, mask in enumerate((left, ~left))
        ]
        images = [{"id": k, "file_name": f"{k}.jpg", "height": 40, "width": 60} for k in range(count)]
        categories = [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}]
        content: Any = {"images": images, "annotations": annotations, "categories": categories}
        if name.startswith("found"):
            content = [{"score": 0.5, **one} | changes for one in annotations]
        path = tmp_path / name
        path.write_text(json.dumps(content))
        return path

    return write


def test_entities_from_files(esg: Run, shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    folder = shared / "reference/evaluator"
    files = ("--truth", folder / "gt.json", "--predictions", folder / "pred.json")
    result = esg("eval", "entities", *files, "--json", tmp_path / "figures.json")
    assert result.status == 0
    assert [line.split(" (1): ")[-1] for line in result.err] == ["synthetic_09.jpg"]  # nothing was found there
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert list(figures)[:9] == FILES
    official = json.loads((folder / "official_results.json").read_text())["all_12_stats_segm"]
    assert {name: figures[name] for name in FILES} == pytest.approx(
        {name: 100 * official[name] for name in FILES}, abs=1e-6
    )
    assert result.out[0] == "10 photos"
    shown = {line.split()[0]: line.split()[1] for line in result.out[1:]}
    assert shown.keys() | {"photos", "overlapping", "whole", "whole_count"} == figures.keys()
    assert all(text == f"{figures[name]:.1f}" for name, text in shown.items())


@pytest.mark.parametrize("given", [(), ("--truth", "a.json"), ("photos", "--truth", "a", "--predictions", "b")])
def test_entities_need_photos_or_both_files(esg: Run, given: tuple[str, ...]) -> None:
    esg("eval", "entities", *given).refused("Give a folder of photos to segment, or both --truth and --predictions.")


def test_narratives_of_png(evaluate: Run, tmp_path: Path) -> None:
    file = write_png(tmp_path / "png", [{"image_id": 139, "caption": CAPTION, "segments": NOUNS}, {"image_id": 1}])
    options = ("--out", tmp_path / "figures.json", "--resume", tmp_path / "run.jsonl", "--nouns", "given")
    result = evaluate("narratives", file, *options)
    assert result.status == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert result.out[0] == "1 of 2 narratives were used: 1 photo, 3 nouns"
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
    assert result.out[0] == "1 of 1 expressions of refcoco testA were used, in 1 photo"
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
    assert result.out[0] == "mask AP of 1 set, 1 photo"
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


def test_entities_of_a_model(esg: Run, small_model: Path, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    command = ("eval", "entities", photos, "--model", small_model, "--device", "cpu", "--json", tmp_path / "a.json")
    result = esg(*command)
    assert (result.status, result.err) == (0, [])
    figures = json.loads((tmp_path / "a.json").read_text())
    assert (figures["photos"], figures["overlapping"], figures["whole"]) == (1, 0, None)
    assert 0 < figures["covering"] <= 100


def test_an_interrupted_run_goes_on(esg: Run, halves: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    command = ("eval", "entities", halves("truth.json"), "--predictions", halves("found.json"))
    once = esg(*command, "--resume", tmp_path / "kept")
    assert (once.status, once.err) == (0, [])
    lines = (tmp_path / "kept").read_text().splitlines()
    (tmp_path / "kept").write_text("\n".join(lines[:3]))  # two photos and the head
    again = esg(*command, "--resume", tmp_path / "kept", "--json", tmp_path / "figures.json")
    assert (again.out, again.err) == (once.out, ["2 photos were measured in an earlier run."])
    assert not list(tmp_path.glob("*.partial"))
    esg(*command, "--resume", tmp_path / "kept", "--no-boundaries").refused(
        "kept has results of another run: boundaries was True and is now False; give another name, or delete the file."
    )


def test_the_papers_figures_stand_beside(esg: Run, halves: Callable[..., Path]) -> None:
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    command = ("eval", "entities", halves("truth.json"), "--predictions", halves("found.json"))
    result = esg(*command, "--data-set", "entityseg", "--model", "cropformer-hornet-large")
    assert result.out[0] == "3 photos, 6 large people, animals and vehicles; measured, and in the paper"
    assert result.out[1].split() == ["AP", "100.0", "51.5", "AP^e"]
    assert result.out[2].split()[:3] == ["AP50", "100.0", "-"]
    esg(*command, "--data-set", "imagenet").refused("--data-set is imagenet; the papers have entityseg")


def test_plots(esg: Run, halves: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    command = ("eval", "entities", halves("truth.json"), "--predictions", halves("found.json"))
    assert esg(*command, "--plots", tmp_path / "plots").status == 0
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert names == {"precision_recall.png", "ap_by_iou.png", "worst.jpg"}


def test_plots_that_cannot_be_drawn_are_refused_before_the_work(
    esg: Run, halves: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("eval", "entities", halves("truth.json"), "--predictions", halves("found.json"), "--plots")
    (tmp_path / "file").write_text("")
    esg(*command, tmp_path / "file").refused("Cannot write to the output folder", str(tmp_path / "file"))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    esg(*command, tmp_path / "plots").refused("Plots need matplotlib")


@pytest.mark.parametrize(("task", "name"), [("panoptic", "PQ"), ("semantic", "mIoU"), ("instances", "AP")])
def test_classes(esg: Run, halves: Callable[..., Path], tmp_path: Path, task: str, name: str) -> None:
    """All masks are said to be cats: the cat is right, or half right, and the dog is missed."""
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    found = halves("found.json", category_id=17)
    result = esg("eval", task, halves("truth.json"), "--predictions", found, "--json", tmp_path / "figures.json")
    assert (result.status, result.err) == (0, [])
    figures = json.loads((tmp_path / "figures.json").read_text())
    cat = {"PQ": 1 / 1.5, "mIoU": 0.5, "AP": 1}[name]  # PQ: three are matched, three false
    assert figures["classes"]["dog"] == 0
    if name != "AP":
        assert figures["classes"]["cat"] == pytest.approx(100 * cat)
    assert figures[name] == pytest.approx(sum(figures["classes"].values()) / 2)
    assert figures["photos"] == 3
    assert result.out[1].split()[:2] == [name, f"{figures[name]:.1f}"]


def test_semantic_label_maps(esg: Run, tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text('["road", "wall"]')
    for folder, value in (("true", 0), ("found", 1)):
        (tmp_path / folder).mkdir()
        labels = np.zeros((10, 10), np.uint8)
        labels[5:] = value
        Image.fromarray(labels).save(tmp_path / folder / "a.png")
    files = (tmp_path / "true", "--predictions", tmp_path / "found", "--categories", tmp_path / "classes.json")
    result = esg("eval", "semantic", *files)
    assert (result.status, result.err) == (0, [])
    assert result.out[1].split()[:2] == ["mIoU", "50.0"]


def test_foreground(esg: Run, photos: Path) -> None:
    pytest.importorskip("py_sod_metrics", reason="the measures need pysodmetrics")
    (photos / "found").mkdir()
    Image.new("L", (80, 60), 255).save(photos / "found/a.png")
    result = esg("eval", "foreground", photos, "--predictions", photos / "found")
    assert (result.status, result.err) == (0, [])
    shown = {line.split()[0]: line.split()[1] for line in result.out[1:]}
    assert (shown["Fmax"], shown["MAE"], shown["HCE"]) == ("100.0", "0.0", "0.0")


def test_truth_that_cannot_be_used_is_one_sentence(esg: Run, halves: Callable[..., Path], tmp_path: Path) -> None:
    found = halves("found.json")
    (tmp_path / "empty.json").write_text('{"images": [], "annotations": []}')
    esg("eval", "entities", tmp_path / "empty.json", "--predictions", found).refused("does not have photos that can")
    esg("eval", "panoptic", tmp_path / "nowhere", "--predictions", found).refused("nowhere does not exist")


def test_after_ctrl_c_it_says_where_the_results_are(
    esg: Run, halves: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    from esg.evaluation.journal import Journal

    add = Journal.add

    def stop(journal: Any, number: int, record: Any) -> None:
        add(journal, number, record)
        if number == 1:
            raise KeyboardInterrupt

    command = ("eval", "entities", halves("truth.json"), "--predictions", halves("found.json"))
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", stop)
        result = esg(*command, "--json", tmp_path / "figures.json")
    kept = tmp_path / "figures.json.partial"
    assert result.status == 130
    assert result.err[0] == f"The photos measured so far are kept in {kept}; the same command continues from there."
    again = esg(*command, "--json", tmp_path / "figures.json")
    assert again.err == ["2 photos were measured in an earlier run."]
    assert not kept.exists()


@pytest.mark.parametrize("task", ["panoptic", "semantic", "instances"])
def test_a_class_aware_model(
    esg: Run, tiny_model: Path, halves: Callable[..., Path], tmp_path: Path, task: str
) -> None:
    """Its classes are the categories of the truth, so nothing that it finds is unknown."""
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    import dataclasses

    import torch
    from safetensors.torch import save_file

    from esg.models.cropformer.model import CropFormer
    from esg.weights.loading import load_segmenter

    config = dataclasses.replace(load_segmenter(tiny_model)[1].config, association=False, classes=2)
    with torch.random.fork_rng():
        torch.manual_seed(34)
        model = CropFormer(config)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    kind = task.removesuffix("s")
    save_file(state, tmp_path / "tiny.safetensors", {"config": config.to_json(), "task": kind})
    (tmp_path / "images").mkdir()
    Image.new("RGB", (60, 40), "red").save(tmp_path / "images/0.jpg")
    given = ("--model", tmp_path / "tiny.safetensors", "--device", "cpu", "--json", tmp_path / "figures.json")
    result = esg("eval", task, halves("truth.json", 1), *given)
    assert (result.status, result.err) == (0, [])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["photos"] == 1
    assert {*figures["classes"]} == {"cat", "dog"}
    esg("eval", task, halves("truth.json", 1), "--model", tiny_model).refused("finds entities without classes")
    esg("eval", task, halves("truth.json", 1)).refused("Give --predictions, or a class-aware --model")


def test_masks_of_a_model_that_overlap(esg: Run, small_model: Path, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    command = ("eval", "entities", photos, "--model", small_model, "--device", "cpu", "--json", tmp_path / "a.json")
    result = esg(*command, "--overlapping")
    assert result.status == 0
    assert json.loads((tmp_path / "a.json").read_text())["overlapping"] == 1
    assert result.out[-1] == "  Masks overlap in 1 of the photos, so AP is not AP^e, which does not allow it."
