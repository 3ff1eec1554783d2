from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from esg import EntitySegmenter

Nodes = Callable[[str], Any]


@pytest.fixture
def segment(nodes: Nodes, segmenter: Any, image: torch.Tensor) -> Callable[..., Any]:
    def run(crops: str = "4", min_score: float = 0.0, min_area: int = 0, max_count: int = 0, **options: Any) -> Any:
        options = {"masks_of": "each entity", "numbers": False, "image": image, **options}
        return nodes("SegmentEntities").segment(
            segmenter, options.pop("image"), crops, min_score, min_area, max_count, **options
        )

    return run


def test_it_finds_what_the_core_finds(segment: Callable[..., Any], home: Path, image: torch.Tensor) -> None:
    entities, masks, overlay = segment()
    alone = EntitySegmenter.from_pretrained(home / "own/tiny.safetensors", device="cpu")
    expected = [alone((one.numpy() * 255).astype("uint8"), crops=4, min_score=0) for one in image]
    assert all(map(len, expected))
    assert [found.labels.tolist() for found in entities.maps] == [found.labels.tolist() for found in expected]
    assert masks.shape == (sum(map(len, expected)), 40, 60)
    assert overlay.shape == image.shape
    assert entities.groundings == (None, None)


def test_nothing_found_is_a_result(segment: Callable[..., Any], image: torch.Tensor) -> None:
    entities, masks, overlay = segment(min_score=1.0)
    assert [len(found) for found in entities.maps] == [0, 0]
    assert torch.equal(masks, torch.zeros(1, 40, 60))
    assert torch.allclose(overlay, image)


def test_the_surest_are_kept(segment: Callable[..., Any]) -> None:
    every, _, _ = segment()
    some, masks, _ = segment(max_count=1, masks_of="all in one")
    assert [len(found) for found in some.maps] == [1, 1]
    assert some.maps[0].scores[0] == every.maps[0].scores[0]
    assert masks.shape == (2, 40, 60)
    assert (masks[0].numpy() > 0).tolist() == (every.maps[0].labels == 1).tolist()


def test_only_another_filter_runs_no_network_again(
    segment: Callable[..., Any], segmenter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    every, _, _ = segment()

    def run(*args: Any, **options: Any) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr(segmenter, "ready", run)
    assert segment()[0].maps == every.maps
    score, area = float(every.maps[0].scores[1]), int(every.maps[0].areas.max())
    assert len(segment(min_score=score)[0].maps[0]) <= 2 or len(every.maps[0]) <= 2
    assert (segment(min_area=area)[0].maps[0].areas >= area).all()
    assert len(segment(max_count=1, numbers=True, masks_of="all in one")[0].maps[0]) == 1
    with pytest.raises(AssertionError, match="the network ran"):
        segment(crops="0")


def test_what_nobody_looks_at_is_not_made(
    segment: Callable[..., Any], part: Callable[[str], Any], core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = part("values")
    monkeypatch.setattr(values, "LARGEST_STACK", 1)
    drawn: list[Any] = []
    monkeypatch.setattr(values, "overlay", lambda *args, **options: drawn.append(args))
    entities, masks, _overlay = segment()
    assert all(map(len, entities.maps))
    assert masks.shape == (sum(map(len, entities.maps)), 40, 60)
    assert not drawn
    with pytest.raises(core.InputError, match="choose fewer entities"):
        masks.cpu()


def test_options_reach_the_core(segment: Callable[..., Any]) -> None:
    every, _, _ = segment(crops="0")
    large, _, _ = segment(crops="0", min_area=int(every.maps[0].areas.min()) + 1)
    assert len(large.maps[0]) < len(every.maps[0])
    assert segment(crops="4", fusion="io")[0].maps[0].labels.tolist() == every.maps[0].labels.tolist()


def test_it_is_deterministic(segment: Callable[..., Any]) -> None:
    assert segment()[0].maps == segment()[0].maps


def test_progress_rises_to_the_end_over_all_pictures(
    segment: Callable[..., Any], part: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(part("host").PlainHost, "progress", lambda self: lambda *args: seen.append(args[:2]))
    segment()
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {total for _, total in seen} == {200}
    assert seen[-1] == (200, 200)
    assert len({done for done, _ in seen}) >= 10  # five views of two pictures


def test_who_stops_the_run_is_obeyed(
    segment: Callable[..., Any], part: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(BaseException):
        pass

    def stop(*_: Any) -> None:
        raise Stopped

    monkeypatch.setattr(part("host").PlainHost, "progress", lambda self: stop)
    with pytest.raises(Stopped):
        segment()
