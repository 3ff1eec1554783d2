"""DIS5K's measures of simple pictures, and the foreground that a segmenter chooses."""

from __future__ import annotations

import builtins
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from in_memory import MemoryPhotos, photo_of
from PIL import Image

from esg.data.foreground import ForegroundPhotos
from esg.entities.entity_map import EntityMap
from esg.evaluation.foreground import CentralEntity, GreyMaps, central, evaluate_foreground
from esg.support.errors import EsgError


def box() -> np.ndarray:
    labels = np.zeros((100, 120), np.int32)
    labels[20:80, 20:100] = 1
    return labels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos, laid out as DIS5K is."""
    for name in ("im", "gt", "found"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (120, 100)).save(tmp_path / f"im/{name}.jpg")
        Image.fromarray(255 * box().astype(np.uint8)).save(tmp_path / f"gt/{name}.png")
    return tmp_path


def save(folder: Path, name: str, inside: np.ndarray) -> None:
    Image.fromarray(255 * inside.astype(np.uint8)).save(folder / f"found/{name}.png")


def test_the_truth_is_perfect(folder: Path) -> None:
    pytest.importorskip("py_sod_metrics", reason="the measures need pysodmetrics")
    for name in ("a", "b"):
        save(folder, name, box())
    found = evaluate_foreground(ForegroundPhotos(folder), GreyMaps(folder / "found"))
    expected = {"Fmax": 1, "Fw": 1, "MAE": 0, "S": 1, "E": 1, "HCE": 0, "photos": 2}
    assert found.figures == pytest.approx(expected, abs=0.01)  # E is a mean over thresholds, of which one is 0


def test_half_of_the_foreground(folder: Path) -> None:
    """Precision 1, recall 0.5: F = 1.3 * 0.5 / (0.3 + 0.5). A fifth of the picture is wrong."""
    pytest.importorskip("py_sod_metrics", reason="the measures need pysodmetrics")
    half = box()
    half[:, 60:] = 0
    for name in ("a", "b"):
        save(folder, name, half)
    found = evaluate_foreground(ForegroundPhotos(folder), GreyMaps(folder / "found")).figures
    assert found["Fmax"] == pytest.approx(0.8125)
    assert found["MAE"] == pytest.approx(0.2)
    assert found["HCE"] > 0


def test_a_photo_without_a_picture_is_all_black_and_named(folder: Path) -> None:
    pytest.importorskip("py_sod_metrics", reason="the measures need pysodmetrics")
    save(folder, "a", box())
    found = evaluate_foreground(ForegroundPhotos(folder), GreyMaps(folder / "found"))
    assert found.figures["MAE"] == pytest.approx(0.4 / 2)
    assert list(found.problems) == [
        "photos without predictions, which count as photos in which nothing was found (1): b.jpg"
    ]


def test_a_photo_without_foreground_does_not_count(folder: Path) -> None:
    pytest.importorskip("py_sod_metrics", reason="the measures need pysodmetrics")
    Image.new("L", (120, 100)).save(folder / "gt/b.png")
    for name in ("a", "b"):
        save(folder, name, box())
    found = evaluate_foreground(ForegroundPhotos(folder), GreyMaps(folder / "found"))
    assert found.figures["photos"] == 1
    assert list(found.problems) == ["photos without annotated foreground, which do not count (1): b.jpg"]


def test_a_picture_of_another_size_is_named(folder: Path) -> None:
    Image.new("L", (50, 50)).save(folder / "found/a.png")
    with pytest.raises(EsgError, match=r"photos that cannot be used .*50x50 pixels, but its photo 120x100"):
        evaluate_foreground(MemoryPhotos([photo_of(box())]), GreyMaps(folder / "found"))


def test_the_entity_near_the_middle_is_chosen() -> None:
    """The background is larger, and the corner's entity is as large as the middle one."""
    labels = np.ones((100, 100), np.int32)
    labels[:40, :40], labels[25:75, 25:75] = 2, 3
    entities = EntityMap.from_labels(labels, [0.9, 0.8, 0.1])
    assert central(entities) == 3


def test_the_model_does_not_see_the_truth(folder: Path) -> None:
    photo = replace(photo_of(box()), file=folder / "im/a.jpg")
    (picture,) = CentralEntity(lambda image: EntityMap.from_labels(2 - box())).of(photo, photo.problems)
    assert np.array_equal(picture, 255 * box().astype(np.uint8))
    nothing = CentralEntity(lambda image: EntityMap.from_labels(np.zeros((100, 120), int)))
    assert nothing.of(photo, photo.problems) == []


def test_a_missing_library_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "py_sod_metrics":
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    save(folder, "a", box())
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EsgError, match="pip install pysodmetrics"):
        evaluate_foreground(ForegroundPhotos(folder), GreyMaps(folder / "found"))
