"""Photo by photo: workers and interrupted runs give the same figures, and nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from in_memory import MemoryPhotos, MemoryPredictions, masks_of, photo_of
from PIL import Image

from esg.data.annotated import AnnotatedPhoto
from esg.data.mask_files import MaskFiles
from esg.evaluation.entities import EntityMeasure, evaluate_entities
from esg.evaluation.journal import Journal
from esg.evaluation.matching import FoundMask
from esg.evaluation.per_photo import measure_all
from esg.evaluation.predictions import open_predictions
from esg.support.errors import EsgError

pytest.importorskip("pycocotools", reason="average precision needs pycocotools")

ABOUT = {"task": "entities"}


def labels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (6, 8)).repeat(8, 0).repeat(8, 1).astype(np.int32)


def memory() -> tuple[MemoryPhotos, MemoryPredictions]:
    photos = MemoryPhotos([photo_of(labels(k), name=f"{k}.jpg") for k in range(5)])
    return photos, MemoryPredictions({f"{k}.jpg": masks_of(labels(k + k % 2)) for k in range(5)})


def test_workers_give_the_same_figures(tmp_path: Path) -> None:
    for name in ("images", "masks", "found"):
        (tmp_path / name).mkdir()
    for k in range(3):
        Image.new("RGB", (64, 48)).save(tmp_path / f"images/{k}.jpg")
        Image.fromarray(labels(k).astype(np.uint8)).save(tmp_path / f"masks/{k}.png")
        Image.fromarray(labels(k + k % 2).astype(np.uint8)).save(tmp_path / f"found/{k}.png")
    photos = MaskFiles(tmp_path)
    read_there, read_here = open_predictions(tmp_path / "found"), memory()[1]
    one = evaluate_entities(photos, read_there)
    assert one.figures["photos"] == 3
    for predictions in (read_there, read_here):
        two = evaluate_entities(photos, predictions, workers=2)
        assert two.figures == pytest.approx(one.figures, nan_ok=True)
        assert list(two.problems) == list(one.problems)


class Interrupted(EntityMeasure):
    """A measure that is stopped at a photo."""

    def __call__(self, photo: AnnotatedPhoto, found: Sequence[FoundMask], problems):  # type: ignore[no-untyped-def]
        if photo.name == "3.jpg":
            raise KeyboardInterrupt
        return super().__call__(photo, found, problems)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    photos, predictions = memory()
    path = tmp_path / "run.jsonl"
    with pytest.raises(KeyboardInterrupt):
        measure_all(photos, predictions, Interrupted(), journal=Journal(path, ABOUT))
    journal = Journal(path, ABOUT)
    assert sorted(journal.done) == [0, 1, 2]
    del predictions.found["0.jpg"]  # would change the figures if it were asked for again
    resumed = evaluate_entities(photos, predictions, journal=journal)
    assert resumed.figures == pytest.approx(evaluate_entities(*memory()).figures, nan_ok=True)
    assert list(resumed.problems) == list(evaluate_entities(*memory()).problems)


def test_a_line_that_was_cut_off_is_measured_again(tmp_path: Path) -> None:
    photos, predictions = memory()
    path = tmp_path / "run.jsonl"
    measure_all(photos, predictions, EntityMeasure(), journal=Journal(path, ABOUT))
    path.write_bytes(path.read_bytes()[:-20])
    journal = Journal(path, ABOUT)
    assert sorted(journal.done) == [0, 1, 2, 3]
    assert evaluate_entities(photos, predictions, journal=journal).figures["photos"] == 5


def test_a_photo_that_cannot_be_read_is_left_out_and_named() -> None:
    photos = MemoryPhotos([photo_of(labels(0), name="0.jpg"), None])
    measured = evaluate_entities(photos, MemoryPredictions({"0.jpg": masks_of(labels(0))}))
    assert (measured.figures["AP"], measured.figures["photos"]) == (pytest.approx(1), 1)
    assert list(measured.problems) == ["photos that cannot be used (1): 1.jpg: number 1.png is broken"]


def test_nothing_to_measure_is_one_sentence() -> None:
    with pytest.raises(EsgError, match=r"No photo in memory can be measured: photos that cannot be used \(1\)"):
        evaluate_entities(MemoryPhotos([None]), MemoryPredictions({}))


def test_predictions_for_a_photo_whose_truth_cannot_be_read_are_not_unknown(tmp_path: Path) -> None:
    for name in ("images", "masks", "found"):
        (tmp_path / name).mkdir()
        for k in range(2):
            Image.fromarray(labels(k).astype(np.uint8)).save(tmp_path / name / f"{k}.png")
    (tmp_path / "masks/1.png").write_bytes(b"nothing")
    photos, predictions = MaskFiles(tmp_path), open_predictions(tmp_path / "found")
    measured = evaluate_entities(photos, predictions)
    assert measured.figures["photos"] == 1
    assert list(measured.problems.found) == ["photos that cannot be used"]
    assert measured.problems.found["photos that cannot be used"][0].startswith("1.png: ")
