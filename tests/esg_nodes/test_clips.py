from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from esg import EntitySegmenter, Tracker

Nodes = Callable[[str], Any]


class Squares:
    """A segmenter of pictures whose entities are their grey levels: 200 is the surest, 0 is none."""

    def ready(self) -> Squares:
        return self

    def __init__(self, entity_map: Any) -> None:
        self._map = entity_map
        self.runs = 0

    @property
    def model(self) -> Squares:
        return self

    def tidied(self, found: Any, **options: Any) -> Any:
        return found

    def __call__(self, photo: np.ndarray, *, progress: Any, **options: Any) -> Any:
        self.runs += 1
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
    assert (moving["id"], moving["frames"], moving["entity_ids"]) == (1, [0, 1, 2, 3], [1, 1, 1, 1])
    assert (late["id"], late["frames"], late["entity_ids"]) == (2, [2, 3], [2, 2])
    assert [own.tolist() for own in entities.numbers] == [[1], [1], [2, 1], [2, 1]]
    assert late["scores"] == pytest.approx([200 / 255] * 2, abs=1e-3)
    assert torch.equal(mask, (clip[..., 0] > 0).float())


def test_pictures_that_share_queries_are_tracked_as_in_the_core(nodes: Nodes, home: Path) -> None:
    (segmenter,) = nodes("LoadSegmenter").load("own/tiny.safetensors", "fp32", "cpu", "auto", False)
    photos = np.random.default_rng(0).integers(0, 256, (5, 40, 60, 3), np.uint8)
    image = torch.from_numpy(photos).float() / 255
    run = partial(nodes("SegmentFrames").segment, segmenter, image, "all", min_score=0.0, min_area=0, numbers=False)
    entities, _, tracks, _ = run("0", share=3)
    tracker = Tracker()
    alone = EntitySegmenter.from_pretrained(home / "own/tiny.safetensors", device="cpu")
    frames = list(alone.track(list(photos), share=3, tracker=tracker, min_score=0.0, min_area=0))
    assert [track["frames"] for track in json.loads(tracks)] == [list(track.frames) for track in tracker.tracks]
    assert any(len(track.frames) > 1 for track in tracker.tracks)
    for frame, found in zip(frames, entities.maps, strict=True):
        assert np.array_equal(frame.labels > 0, found.labels > 0)
    with pytest.raises(Exception, match="set crops to 0, or share to 1"):
        run("4", share=3)


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
    assert picked[3] == "1\n1\n1\n1"
    assert torch.equal(picked[0], follow("1")[1])


@pytest.fixture
def tracked(follow: Callable[..., Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The entities of the clip: track 1 has the ids 1, 1, 2, 2 and track 2 has the id 1 in the last two pictures."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return follow()[0]


@pytest.mark.parametrize(
    ("picks", "ids"),
    [
        ("1", "1\n1\n1\n1"),
        ("2", "none\nnone\n2\n2"),
        ("not 1", "none\nnone\n2\n2"),
        ("largest", "1\n1\n1\n1"),
        ("picture 3: smallest", "none\nnone\n2\n2"),
        ('{"x": 5, "y": 10}', "1\n1\n1\n1"),
        ("7", "none\nnone\nnone\nnone"),
    ],
)
def test_a_pick_is_of_tracks(
    follow: Callable[..., Any], nodes: Nodes, clip: torch.Tensor, tracked: Any, picks: str, ids: str
) -> None:
    picked = nodes("PickEntities").pick(clip, tracked, picks, False)
    mask, chosen, rest, said = picked["result"]
    assert said == ids
    wanted = {line for line in ids.splitlines() if line != "none"}
    assert torch.equal(mask, follow(",".join(wanted) or "none")[1])
    assert {n for own in chosen.numbers for n in own.tolist()} == {int(line) for line in wanted}
    assert {n for own in rest.numbers for n in own.tolist()} == {1, 2} - {int(line) for line in wanted}
    pages = picked["ui"]["esg_pick"]
    assert [page["numbers"] for page in pages] == [[1], [1], [1, 2], [1, 2]]
    assert all(page["clip"] for page in pages)


def test_boxes_in_a_clip_are_followed(nodes: Nodes, clip: torch.Tensor, tracked: Any) -> None:
    moving = {"x": 0, "y": 0, "width": 20, "height": 20}
    late = {"x": 28, "y": 0, "width": 12, "height": 10}
    pick = nodes("PickEntities").pick
    assert pick(clip, tracked, "", False, boxes=moving)["result"][3] == "1\n1\n1\n1"
    assert pick(clip, tracked, "", False, boxes=late)["result"][3] == "none\nnone\nnone\nnone"
    assert pick(clip, tracked, "", False, boxes=[[], [], [late], []])["result"][3] == "none\nnone\n2\n2"


def test_tracks_go_through_the_other_nodes(
    nodes: Nodes, clip: torch.Tensor, tracked: Any, core: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def numbers(entities: Any) -> list[list[int]]:
        return [sorted(own.tolist()) for own in entities.numbers]

    assert numbers(nodes("FilterEntities").filter(tracked, "2", 0.0, 0, 0, 0, 0)[0]) == [[], [], [2], [2]]
    with pytest.raises(core.InputError, match="There is no track 3"):
        nodes("FilterEntities").filter(tracked, "3", 0.0, 0, 0, 0, 0)
    merged, said = nodes("MergeEntities").merge(tracked, "1-2")
    assert numbers(merged) == [[1]] * 4
    assert said == "1\n1\n1\n1"
    paint = torch.zeros(1, 20, 40)
    paint[0, 16:19, :5] = 1
    split, said = nodes("SplitEntity").split(tracked, paint, "new entity", 0)
    assert numbers(split) == [[1, 3], [1, 3], [1, 2, 3], [1, 2, 3]]
    assert said == "3\n3\n3\n3"
    mended, said = nodes("SplitEntity").split(tracked, paint, "add to", 2)
    assert said == "none\nnone\n2\n2"
    assert numbers(mended) == numbers(tracked)
    both = nodes("CombineEntities").combine(tracked, split, "union")[0]
    assert {5, 3 + 2} <= {n for own in both.numbers for n in own.tolist()}

    masks, prompts, names = nodes("ForEach").list(tracked, "entity", "2 = a moon")
    assert [mask.shape for mask in masks] == [(4, 20, 40)]
    assert (prompts, names) == (["a moon"], ["track 2"])
    assert torch.equal(masks[0], nodes("PickEntities").pick(clip, tracked, "2", False)["result"][0])
    batch, listed = nodes("EntitiesToMasks").convert(tracked)
    assert batch.shape == (6, 20, 40)
    assert [mask.shape for mask in listed] == [(4, 20, 40)] * 2
    grey = nodes("EntitiesToLabelMap").convert(tracked, "numbers")[0]
    assert [sorted((255 * one).round().unique().int().tolist()) for one in grey] == [
        [0, 1],
        [0, 1],
        [0, 1, 2],
        [0, 1, 2],
    ]
    files = nodes("SaveCoco").save(tracked, "clip")["ui"]["text"]
    ids = [
        sorted(one["track_id"] for one in json.loads((tmp_path / file).read_text())["annotations"]) for file in files
    ]
    assert ids == [[1], [1], [1, 2], [1, 2]]


def test_what_words_mean_in_a_clip_is_told_by_tracks(part: Callable[[str], Any], core: Any, tracked: Any) -> None:
    phrase = core.Phrase("moon", (0, 4), (1,), (0.9,))
    grounded = type(tracked).of(tracked.maps, [None, None, *[core.Grounding("moon", (phrase,))] * 2], tracked.tracks)
    assert [one["phrases"][0]["entity_ids"] for one in grounded.to_json()[2:]] == [[2], [2]]
    assert grounded.choose("phrase: moon") == [[], [], [1], [1]]


def test_following_otherwise_runs_no_network_again(nodes: Nodes, core: Any, clip: torch.Tensor) -> None:
    squares = Squares(core.EntityMap)
    for patience, tracks in ((2, "all"), (0, "all"), (2, "1")):
        nodes("SegmentFrames").segment(squares, clip, tracks, "0", -1.0, 0, False, patience=patience)
    assert squares.runs == 4


def test_tracks_that_cannot_be_read_are_told_before_anything_runs(nodes: Nodes, core: Any, clip: torch.Tensor) -> None:
    node = nodes("SegmentFrames")
    assert node.VALIDATE_INPUTS(tracks="1、2", in_first="largest，3") is True
    assert "does not name tracks" in node.VALIDATE_INPUTS(tracks="largest")
    assert "not understood" in node.VALIDATE_INPUTS(in_first="larger")
    squares = Squares(core.EntityMap)
    for options in ({"tracks": "largest"}, {"tracks": "1", "in_first": "larger"}):
        with pytest.raises(core.InputError):
            node.segment(squares, clip, options.pop("tracks"), "0", -1.0, 0, False, **options)
    assert squares.runs == 0


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
        ("largest", "'largest' does not name tracks"),
        ("7" * 5000, "does not name tracks"),
        ("2-1", "is backwards"),
    ],
)
def test_what_names_no_track_is_one_sentence(follow: Callable[..., Any], core: Any, tracks: str, message: str) -> None:
    with pytest.raises(core.InputError, match=message):
        follow(tracks)


@pytest.mark.parametrize(("tracks", "in_first"), [("3", ""), ("0", ""), ("none", "3"), ("none", "phrase: dog")])
def test_what_the_mask_cannot_show_costs_nothing_but_the_mask(
    follow: Callable[..., Any], core: Any, tracks: str, in_first: str
) -> None:
    entities, mask, *_ = follow(tracks, in_first=in_first)
    assert [len(found) for found in entities.maps] == [1, 1, 2, 2]
    if in_first.startswith("phrase"):
        assert not mask.any()
    else:
        with pytest.raises(core.InputError, match=r"There is no (track|entity)"):
            mask.any()


def test_a_clip_without_entities(follow: Callable[..., Any]) -> None:
    entities, mask, tracks, overlay = follow(image=torch.zeros(2, 4, 6, 3))
    assert [len(found) for found in entities.maps] == [0, 0]
    assert entities.groundings == (None, None)
    assert entities.choose("all") == [[], []]
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
