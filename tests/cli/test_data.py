"""`esg data`: what a data set contains, and its statistics."""

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
def folder(tmp_path: Path) -> Path:
    """Two photos with label maps, and one without."""
    numbers = np.repeat([[1] * 10 + [2] * 10], 20, axis=0).astype(np.uint8)
    for name in "ab":
        Image.new("RGB", (20, 20)).save(tmp_path / f"{name}.jpg")
        Image.fromarray(numbers).save(tmp_path / f"{name}.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "c.jpg")
    return tmp_path


def test_check(esg: Run, folder: Path) -> None:
    result = esg("data", "check", "entities", folder)
    assert result.status == 0
    assert result.out == [
        f"{folder}: 2 of 2 photos can be used",
        "  4 segments, 0 crowds, 0 captions",
        "  photos without a file of masks (1): c.jpg",
    ]


def test_check_fails_if_nothing_can_be_used(esg: Run, folder: Path) -> None:
    for name in "ab":
        (folder / f"{name}.jpg").write_bytes(b"nothing")
    result = esg("data", "check", "entities", folder)
    assert result.status == 1
    assert result.out[0].endswith("0 of 2 photos can be used")
    assert result.out[-1].startswith("  photos or annotations that cannot be read (2): ")


def test_stats(esg: Run, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs matplotlib")
    files = ("--json", tmp_path / "s.json", "--plot", tmp_path / "s.svg")
    result = esg("data", "stats", folder, *files)
    assert result.status == 0
    figures = json.loads((tmp_path / "s.json").read_text())
    assert figures["photos"] == figures["entities_max"] == 2
    assert [figures[name] for name in ("image_resolution", "complexity", "valid_area")] == pytest.approx([20, 1, 1])
    shown = {line[2:18].strip(): line[18:].split()[:4] for line in result.out[2:8]}
    assert shown["resolution"] == ["20.0", "522.5", "461.3", "2700.7"]
    assert shown["valid area"] == ["1.000", "0.891", "0.914", "0.999"]
    assert "<svg" in (tmp_path / "s.svg").read_text()
    esg("data", "stats", folder, *files, "--no-overwrite").refused("already exists")


def test_wrong_paths(esg: Run, folder: Path) -> None:
    esg("data", "check", "entities", folder / "nowhere").refused("does not exist", "a COCO JSON file")
    esg("data", "stats", folder, "--count", 0).refused("--count")


def test_two_annotations_of_the_same_photos(esg: Run, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    other = tmp_path / "other"
    other.mkdir()
    for name in "ab":
        Image.new("RGB", (20, 20)).save(other / f"{name}.jpg")
        numbers = np.repeat([[1] * 10 + [2] * 10], 20, axis=0).astype(np.uint8)
        if name == "b":
            numbers[:] = 1
        Image.fromarray(numbers).save(other / f"{name}.png")
    result = esg("data", "stats", folder, "--with", other, "--json", tmp_path / "s.json")
    assert result.status == 0
    assert f"agreement with {other} on 2 photos" in "\n".join(result.out)
    assert 0 < json.loads((tmp_path / "s.json").read_text())["agreement_ap"] < 1


def test_texts_are_checked(esg: Run, tmp_path: Path) -> None:
    from text_sets import CAPTION, NOUNS, write_png, write_refcoco, write_wild

    file = write_png(tmp_path / "png", [{"image_id": 139, "caption": CAPTION, "segments": NOUNS}, {"image_id": 1}])
    result = esg("data", "check", "narratives", file)
    assert result.status == 0
    assert result.out[0].endswith("2 narratives: 1 of 1 photos can be used")
    assert result.out[2] == "  narratives of photos that are not listed (1): number 1 of photo 1"
    result = esg("data", "check", "referring", write_refcoco(tmp_path / "refcoco"), "--split", "testA")
    assert result.out[0].endswith("refcoco testA: 1 of 1 photos can be used")
    write_wild(tmp_path / "wild", "Puppies", ["dog"], [(1, [0, 0, 6, 0, 6, 4, 0, 4])])
    result = esg("data", "check", "wild", tmp_path / "wild")
    assert result.out[-1].startswith("sets that are missing (24): Airplane-Parts, Bottles")
    broken = tmp_path / "wild/Cows/valid/_annotations_min1cat.coco.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{}")
    result = esg("data", "check", "wild", tmp_path / "wild")
    assert result.status == 0
    assert result.out[0] == f"{broken} is not in COCO's format: it does not have a list of images."
    assert result.out[2:-1] == [
        "  1 segment, 0 crowds, 0 captions",
        "  1 category; most segments: dog 1",
        "sets that cannot be used (1): Cows",
    ]
    assert result.out[-1].startswith("sets that are missing (23): ")
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps({"a.jpg": "A dog.", "b.jpg": 3}))
    result = esg("data", "check", "captions", captions)
    assert result.out[0].endswith("1 caption of 1 photo, 0 with a list of nouns")
