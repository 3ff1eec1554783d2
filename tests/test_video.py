"""`python -m benchmarks.video` with a segmenter that knows the truth, whose figures are therefore known."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import video

CLIP = np.zeros((4, 20, 30), np.int32)
CLIP[:, :10, :10], CLIP[:, :10, 15:25] = 1, 2
GIVEN = argparse.Namespace(clips=2, frames=4, height=20, width=30, share=[1, 3], min_overlap=0.3, patience=2)


class Knowing:
    """Finds in every frame the labels that its picture shows, under the numbers that a function gives them."""

    def __init__(self, renumbered: Callable[[int, np.ndarray], np.ndarray]) -> None:
        self.renumbered = renumbered

    def track(self, frames: Iterable[np.ndarray], **options: Any) -> Iterator[SimpleNamespace]:
        for number, image in enumerate(frames):
            labels = self.renumbered(number, image[..., 0].astype(np.int32))
            yield SimpleNamespace(labels=labels, ids=np.unique(labels[labels > 0]))


@pytest.fixture(autouse=True)
def one_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "MOTIONS", {"slow": (0.0, 0.0)})
    frames = [(np.repeat(labels[..., None], 3, 2).astype(np.uint8), labels) for labels in CLIP]
    monkeypatch.setattr(video, "moving_scene", lambda *_, **__: frames)


def test_who_finds_everything_has_all_points() -> None:
    rows = [*video.measured(Knowing(lambda number, labels: labels), GIVEN)]
    assert [(row["motion"], row["share"]) for row in rows] == [("slow", 1), ("slow", 3)]
    for row in rows:
        assert [row[name] for name in ("idf1", "idp", "idr", "f1", "tracks")] == [100, 100, 100, 100, 2]


def test_exchanged_numbers_cost_identities_but_not_masks() -> None:
    def exchanged(number: int, labels: np.ndarray) -> np.ndarray:
        return np.array([0, 2, 1])[labels] if number >= 3 else labels

    for row in video.measured(Knowing(exchanged), GIVEN):
        assert row["idf1"] == pytest.approx(75)  # three of four frames
        assert row["f1"] == 100
