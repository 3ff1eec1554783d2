"""`esg segment` on clips: videos, GIFs and folders of frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from short_clips import moving_square, write_clip

from esg import EntityMap, EntitySegmenter, read_frames, read_image, read_masks
from esg.pictures.clips import ClipFile

OPTIONS: dict[str, Any] = {"size": 64, "max_size": 96, "min_score": 0}  # those of `segment`

Run = Callable[..., Any]
Written = Callable[[], list[str]]
MakePhoto = Callable[..., Path]


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of three frames, f8.png, f9.png and f10.png."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(moving_square(3), start=8):
        Image.fromarray(frame).save(folder / f"f{number}.png")
    return folder


def labels_in(folder: Path, names: list[str]) -> list[np.ndarray]:
    return [np.asarray(Image.open(folder / f"{name}.png")) for name in names]


def test_a_folder_of_frames(segment: Run, tiny_model: Path, tmp_path: Path, frames: Path, written: Written) -> None:
    result = segment(frames, "--clip")
    names = ["f8", "f9", "f10"]
    expected = list(EntitySegmenter.from_pretrained(tiny_model, device="cpu").track(read_frames(frames), **OPTIONS))
    tracks = max(frame.ids.max() for frame in expected)
    assert tracks > 1
    assert result.status == 0
    (line,) = result.err
    assert line.startswith(f"{frames}: 3 frames, {tracks} tracks in ")
    assert line.endswith(f" s -> {tmp_path / 'out/frames'}.*")
    assert written() == sorted(
        [*(f"frames.labels/{n}.png" for n in names), *(f"frames.overlay/{n}.jpg" for n in names), "frames.tracks.json"]
    )
    labels = labels_in(tmp_path / "out/frames.labels", names)
    assert [one.dtype for one in labels] == [np.uint16] * 3
    assert all(np.array_equal(one, frame.labels) for one, frame in zip(labels, expected))
    assert read_image(tmp_path / "out/frames.overlay/f8.jpg").shape == (32, 48, 3)


def test_the_json_has_the_tracks(segment: Run, tiny_model: Path, tmp_path: Path, frames: Path) -> None:
    assert segment(frames, "--clip", "--save", "coco", "--stride", 2).status == 0
    content = json.loads((tmp_path / "out/frames.tracks.json").read_text())
    assert content["videos"] == [{"id": 1, "name": "frames", "fps": None, "width": 48, "height": 32}]
    assert [(one["id"], one["file_name"], one["frame_index"]) for one in content["images"]] == [
        (1, "f8.png", 0),
        (3, "f10.png", 2),
    ]
    assert content["categories"] == [{"id": 1, "name": "entity"}]
    annotations = content["annotations"]
    assert [one["id"] for one in annotations] == [*range(1, len(annotations) + 1)]
    segmenter = EntitySegmenter.from_pretrained(tiny_model, device="cpu")
    expected = list(segmenter.track(read_frames(frames, stride=2), **OPTIONS))
    assert [one["track_id"] for one in annotations] == [*expected[0].ids, *expected[1].ids]
    for track in content["tracks"]:
        own = [one["image_id"] - 1 for one in annotations if one["track_id"] == track["id"]]
        assert (track["first_frame"], track["last_frame"], track["frames"]) == (own[0], own[-1], len(own))
    # Any program that reads COCO sees a picture per frame.
    found = read_masks(tmp_path / "out/frames.tracks.json", photo="f10.png")
    assert isinstance(found, EntityMap)
    assert len(found) == len(expected[1].entities)


def test_a_video(segment: Run, tmp_path: Path, written: Written) -> None:
    clip = write_clip(tmp_path / "clip.mp4", moving_square(4))
    assert segment(clip, "--stride", 2).status == 0
    assert written() == [
        *("clip.labels/000000.png", "clip.labels/000002.png"),
        *("clip.overlay.mp4", "clip.tracks.json"),
    ]
    overlay = ClipFile(tmp_path / "out/clip.overlay.mp4")
    assert (overlay.count, overlay.rate) == (2, 5)  # as long as the clip
    content = json.loads((tmp_path / "out/clip.tracks.json").read_text())
    assert content["videos"][0]["fps"] == 5
    assert [one["time"] for one in content["images"]] == [0, 0.2]


def test_a_gif_beside_a_photo(segment: Run, tmp_path: Path, photo: Path, written: Written) -> None:
    first, second = (Image.fromarray(frame) for frame in moving_square(2))
    first.save(tmp_path / "photo.gif", save_all=True, append_images=[second])
    result = segment(photo, tmp_path / "photo.gif", "--save", "labels")
    assert result.status == 0
    assert [line[:6] for line in result.err] == ["[1/2] ", "[2/2] "]
    assert written() == ["photo.gif.labels/000000.png", "photo.gif.labels/000001.png", "photo.png.labels.png"]


def test_results_of_an_earlier_run_are_replaced_or_kept(
    segment: Run, tmp_path: Path, frames: Path, written: Written
) -> None:
    assert segment(frames, "--clip", "--save", "labels").status == 0
    result = segment(frames, "--clip", "--save", "labels", "--stride", 2)
    assert result.err[0].endswith("(3 earlier files replaced)")
    assert written() == ["frames.labels/f10.png", "frames.labels/f8.png"]  # f9 was of the earlier run
    result = segment(frames, "--clip", "--no-overwrite")
    assert (result.status, result.err) == (
        0,
        [f"{frames}: skipped, because {tmp_path / 'out/frames.labels'} already exists."],
    )


def test_a_run_that_is_stopped_leaves_nothing(
    segment: Run, frames: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, calls = EntitySegmenter.__call__, []

    def stop_in_the_second_frame(self: EntitySegmenter, *args: Any, **options: Any) -> EntityMap:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return call(self, *args, **options)

    monkeypatch.setattr(EntitySegmenter, "__call__", stop_in_the_second_frame)
    assert segment(frames, "--clip").status == 130
    assert written() == []


def test_frames_of_different_sizes_are_refused(
    segment: Run, frames: Path, make_photo: MakePhoto, photo: Path, written: Written
) -> None:
    make_photo(frames / "f11.png")
    result = segment(frames, photo, "--clip", "--save", "labels")
    assert result.status == 2
    assert "frames: All frames of a clip must have the same size, but the first has 48x32 pixels" in result.err[0]
    assert written() == ["photo.labels.png"]


def test_kinds_of_files_that_clips_do_not_have(segment: Run, frames: Path, without_model: None) -> None:
    segment(frames, "--clip", "--save", "labels,masks,yolo").refused(
        "masks, yolo cannot be written for a clip; use --save with overlay, labels, coco only."
    )


def test_without_the_option_a_folder_holds_photos(segment: Run, frames: Path, written: Written) -> None:
    assert segment(frames, "--save", "labels").status == 0
    assert written() == ["f10.labels.png", "f8.labels.png", "f9.labels.png"]


def test_a_folder_of_results_is_not_read(segment: Run, tmp_path: Path, frames: Path) -> None:
    assert segment(frames, "--clip").status == 0
    result = segment(tmp_path / "out")
    result.refused("There are no pictures")


def test_options_reach_the_tracker(segment: Run, tiny_model: Path, tmp_path: Path, frames: Path) -> None:
    assert segment(frames, "--clip", "--save", "labels", "--min-overlap", 1, "--patience", 0).status == 0
    segmenter = EntitySegmenter.from_pretrained(tiny_model, device="cpu")
    expected = [*segmenter.track(read_frames(frames), min_iou=1, patience=0, **OPTIONS)]
    usual = [*segmenter.track(read_frames(frames), **OPTIONS)]
    assert not all(np.array_equal(one.labels, other.labels) for one, other in zip(expected, usual))
    labels = labels_in(tmp_path / "out/frames.labels", ["f8", "f9", "f10"])
    assert all(np.array_equal(one, frame.labels) for one, frame in zip(labels, expected))
