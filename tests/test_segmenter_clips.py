"""EntitySegmenter.track: the entities of frame after frame, with ids that stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from esg import EntitySegmenter, InputError, Tracker
from esg.models.cropformer.config import CropFormerConfig, Preset
from esg.models.cropformer.model import CropFormer
from esg.models.cropformer.predicted import Predicted
from esg.models.layers.swin import SwinConfig

OPTIONS: dict[str, Any] = {"size": 64, "max_size": 96, "min_score": 0, "specks": 0, "crops": 0}


@pytest.fixture(scope="module")
def segmenter(tiny_model: Path) -> EntitySegmenter:
    return EntitySegmenter.from_pretrained(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def test_each_frame_is_segmented_and_followed(segmenter: EntitySegmenter, picture: np.ndarray) -> None:
    tracker = Tracker()
    frames = list(segmenter.track([picture, picture[:, ::-1]], tracker=tracker, **OPTIONS))
    assert frames[0].entities == segmenter(picture, **OPTIONS)
    assert frames[1].entities == segmenter(picture[:, ::-1], **OPTIONS)
    assert frames[0].ids.tolist() == list(range(1, len(frames[0].entities) + 1))
    assert len(tracker.tracks) == max(frames[1].ids.max(), len(frames[0].entities))


@pytest.mark.parametrize("share", [1, 2])
def test_frames_are_read_when_they_are_needed(segmenter: EntitySegmenter, picture: np.ndarray, share: int) -> None:
    read: list[int] = []

    def clip() -> Iterator[np.ndarray]:
        for number in range(9):
            read.append(number)
            yield picture

    tracked = segmenter.track(clip(), share=share, **OPTIONS)
    next(tracked)
    assert len(read) == share


@pytest.mark.parametrize(("count", "share"), [(1, 2), (2, 2), (5, 2), (5, 3), (6, 3), (3, 8)])
def test_with_shared_queries_each_frame_comes_once_and_what_stays_keeps_its_id(
    segmenter: EntitySegmenter, picture: np.ndarray, count: int, share: int
) -> None:
    frames = list(segmenter.track([picture] * count, share=share, **OPTIONS))
    assert [frame.number for frame in frames] == list(range(count))
    assert len(frames[0].entities) > 1
    # The frames of a window are equal, and so are their masks; two windows of equal length, too.
    for frame in frames[: share if count % (share - 1) != 1 else count]:
        assert np.array_equal(frame.labels, frames[0].labels)


def moving(segmenter: EntitySegmenter, monkeypatch: pytest.MonkeyPatch, places: list[int]) -> list[np.ndarray]:
    """Frames of one colour, whose red is the place: there the only entity is, query 3."""
    predict = segmenter._inference.predict

    def predicted(views: Any, **options: Any) -> Predicted:
        found = predict(views, **options)
        queries, features = len(found.embeddings), found.features
        embeddings, probabilities = torch.zeros(queries, 1), torch.tensor([[0.1, 0.9]]).repeat(queries, 1)
        embeddings[3], probabilities[3] = 1, torch.tensor([0.9, 0.1])
        drawn = torch.full((len(features), 1, *features.shape[2:]), -20.0)
        for view, pixels in zip(drawn, views.pixels):
            place = round(float(pixels[0, 0, 0]) * 58.395 + 123.675)  # red of the first pixel
            view[0, :, place : place + 3] = 20
        # The other queries are 0 everywhere, which is not above a probability of one half.
        return Predicted(embeddings, drawn, probabilities, views.geometry)

    monkeypatch.setattr(segmenter._inference, "predict", predicted)
    return [np.full((64, 96, 3), place, np.uint8) for place in places]


def test_a_query_follows_what_overlap_cannot(segmenter: EntitySegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = moving(segmenter, monkeypatch, [0, 6, 12, 18, 12])  # three columns wide, so without any overlap
    options = {**OPTIONS, "min_score": 0.5}
    alone = list(segmenter.track(frames, **options))
    assert [frame.ids.tolist() for frame in alone] == [[1], [2], [3], [4], [3]]  # the last by patience
    for share in (2, 3, 5):
        together = list(segmenter.track(frames, share=share, **options))
        assert [frame.ids.tolist() for frame in together] == [[1]] * 5
        assert all(np.array_equal(one.entities.labels, other.entities.labels) for one, other in zip(alone, together))


def test_what_cannot_share_queries(segmenter: EntitySegmenter, picture: np.ndarray) -> None:
    with pytest.raises(InputError, match="share is 0"):
        segmenter.track([picture], share=0)
    with pytest.raises(InputError, match="are seen whole; leave out crops and fusion, or use share 1"):
        segmenter.track([picture], share=2, crops=4)
    with pytest.raises(InputError, match="must have the same size, but there are frames of 60x40 and of 40x60"):
        list(segmenter.track([picture, picture.swapaxes(0, 1)], share=2, **OPTIONS))
    config = CropFormerConfig(
        SwinConfig(width=16, depths=(1, 1, 1, 1), heads=(1, 1, 1, 1), window=4), association=False, width=32, heads=2
    )
    plain = EntitySegmenter(CropFormer(config), Preset(config), device="cpu", name="mask2former-test")
    with pytest.raises(InputError, match="mask2former-test does not have a batch level; use share 1"):
        plain.track([picture], share=2)
