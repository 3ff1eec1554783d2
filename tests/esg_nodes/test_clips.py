from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

Nodes = Callable[[str], Any]


class Squares:
    """A segmenter of pictures whose entities are their grey levels: 200 is the surest, 0 is none."""

    def ready(self) -> Squares:
        return self

    def __init__(self, entity_map: Any) -> None:
        self._map = entity_map

    def __call__(self, photo: np.ndarray, *, progress: Any, min_area: int, **options: Any) -> Any:
        progress(1, 1, "views")
        progress(1, 1, "labels")
        grey = photo[..., 0]
        levels = np.unique(grey[grey > 0])
        labels = np.searchsorted(levels, grey) + 1
        return self._map.from_labels(np.where(grey > 0, labels, 0), levels / 255)


@pytest.fixture
def clip() -> torch.Tensor:
    """IMAGE of four pictures: one square moves to the right, a surer one appears in the third for good."""
    frames = torch.zeros(4, 20, 40, 3)
    for k, frame in enumerate(frames):
        frame[5:15, 2 + k : 14 + k] = 100 / 255
        if k >= 2:
            frame[2:8, 30:38] = 200 / 255
    return frames


@pytest.fixture
def follow(nodes: Nodes, core: Any, clip: torch.Tensor) -> Callable[..., Any]:
    def run(tracks: str = "all", **options: Any) -> Any:
        given = {"crops": "0", "min_score": -1.0, "min_area": 0, "numbers": False, "image": clip, **options}
        return nodes("SegmentFrames").segment(Squares(core.EntityMap), given.pop("image"), tracks, **given)

    return run


def test_numbers_stay_although_those_of_the_pictures_change(follow: Callable[..., Any], clip: torch.Tensor) -> None:
    entities, mask, tracks, _ = follow()
    assert [len(found) for found in entities.maps] == [1, 1, 2, 2]
    moving, late = json.loads(tracks)
    assert (moving["id"], moving["frames"], moving["entity_ids"]) == (1, [0, 1, 2, 3], [1, 1, 2, 2])
    assert (late["id"], late["frames"], late["entity_ids"]) == (2, [2, 3], [1, 1])
    assert late["scores"] == pytest.approx([200 / 255] * 2, abs=1e-3)
    assert torch.equal(mask, (clip[..., 0] > 0).float())


@pytest.mark.parametrize(("tracks", "levels"), [("1", [100]), ("2", [200]), ("not 1", [200]), ("1-2", [100, 200])])
def test_the_mask_is_of_the_chosen_tracks(
    follow: Callable[..., Any], clip: torch.Tensor, tracks: str, levels: list[int]
) -> None:
    mask = follow(tracks)[1]
    assert mask.shape == (4, 20, 40)
    assert np.array_equal(mask.numpy() > 0, np.isin((clip[..., 0] * 255).round(), levels))


def test_what_is_chosen_in_the_first_picture_is_followed(follow: Callable[..., Any]) -> None:
    _, only_first, _, _ = follow("1")
    for words in ("largest", "centre", '{"x": 5, "y": 10}', "phrase: track 1"):
        assert torch.equal(follow("none", in_first=words)[1], only_first)
    assert torch.equal(follow("2", in_first="1")[1], follow("all")[1])
    assert not follow("none")[1].any()


def test_a_track_is_a_phrase_in_every_picture(
    follow: Callable[..., Any], nodes: Nodes, clip: torch.Tensor, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    entities, _, _, _ = follow()
    assert {grounding.caption for grounding in entities.groundings} == {"track 1, track 2"}
    picked = nodes("PickEntities").pick(clip, entities, "phrase: track 1", False)["result"]
    assert picked[3] == "1\n1\n2\n2"
    assert torch.equal(picked[0], follow("1")[1])


def test_colours_stay(follow: Callable[..., Any]) -> None:
    overlay = follow()[3]
    assert overlay.shape == (4, 20, 40, 3)
    inside = [overlay[k, 10, 8 + k].tolist() for k in range(4)]
    assert inside == [inside[0]] * 4
    assert overlay[2, 5, 34].tolist() != inside[0]
    assert not torch.equal(follow(numbers=True)[3], overlay)


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        ("3", "There is no track 3: the numbers of this clip go from 1 to 2"),
        ("0", "There is no track 0"),
        ("largest", "'largest' names no tracks"),
        ("7" * 5000, "names no tracks"),
        ("2-1", "runs backwards"),
    ],
)
def test_what_names_no_track_is_one_sentence(follow: Callable[..., Any], core: Any, tracks: str, message: str) -> None:
    with pytest.raises(core.InputError, match=message):
        follow(tracks)


def test_a_clip_without_entities(follow: Callable[..., Any]) -> None:
    entities, mask, tracks, overlay = follow(image=torch.zeros(2, 4, 6, 3))
    assert [len(found) for found in entities.maps] == [0, 0]
    assert entities.groundings == (None, None)
    assert torch.equal(mask, torch.zeros(2, 4, 6))
    assert json.loads(tracks) == []
    assert not overlay.any()


def test_it_segments_as_segment_entities_does_and_shows_how_far_it_is(
    nodes: Nodes, segmenter: Any, image: torch.Tensor, part: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(part("host").PlainHost, "progress", lambda self: lambda *args: seen.append(args[:2]))
    found = nodes("SegmentFrames").segment(segmenter, image, "all", "4", 0.0, 0, True)[0]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (200, 200)
    expected = nodes("SegmentEntities").segment(segmenter, image, "4", 0.0, 0, 0, "each entity", False)[0]
    assert found.maps == expected.maps


def test_who_stops_the_run_is_obeyed(
    follow: Callable[..., Any], part: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(BaseException):
        pass

    def stop(*_: Any) -> None:
        raise Stopped

    monkeypatch.setattr(part("host").PlainHost, "progress", lambda self: stop)
    with pytest.raises(Stopped):
        follow()
