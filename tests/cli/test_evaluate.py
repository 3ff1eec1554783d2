"""`esg eval`: figures on stdout in percent, and in a file as fractions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

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
